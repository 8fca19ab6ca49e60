"""What people see of a search: tables, progress, figures."""
