"""Online SGD against its noiseless path, as a test that can fail."""
