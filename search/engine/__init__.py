"""What runs next and how far it goes: decisions without Ray, clock or files."""
