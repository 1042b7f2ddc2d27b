"""Says from the first steps of a training run whether it will grok, and stops the doomed ones."""
