"""What a study would cost, before it starts: `ecgsearch plan`."""
