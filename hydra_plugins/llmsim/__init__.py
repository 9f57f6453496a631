"""What Hydra finds of llmsim by itself: it looks for plug-ins in `hydra_plugins` and nowhere else."""
