"""DiffusionBERT, reproduced: absorbing-state text diffusion with the spindle schedule, proved and audited."""
