"""Real queue, real processes, real signals; only the training is a short sleep whose number is known beforehand."""
