"""How good it is: metrics, calibration, baselines, mistakes, pictures, the report."""
