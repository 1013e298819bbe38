"""Fast forwards without gradients, each measured against the plain one."""
