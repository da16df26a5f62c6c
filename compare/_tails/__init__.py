"""Heavy tails on both sides of a comparison."""
