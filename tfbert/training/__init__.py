"""How it learns: a job, its settings, the step, the loop, the devices."""
