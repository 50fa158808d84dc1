"""Reading and making logs."""
