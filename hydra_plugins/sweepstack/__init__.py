"""Plugins that Hydra finds and loads itself: launcher, sweepers and the search path of sweeps/; none imports torch."""
