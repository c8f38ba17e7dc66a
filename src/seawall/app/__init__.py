"""What happens: one module per intent, over the ports."""
