"""What Hydra loads itself: the stacked launcher, the Optuna sweeper, the folder sweeps/. All thin; no torch."""
