"""`python -m diffusionbert COMMAND`: what one does with a trained arm, and checks of params.yaml and folders.

A command is a module with `add`, which describes its arguments, and `run`, which does it. Results go to stdout, all
else to stderr.
"""
