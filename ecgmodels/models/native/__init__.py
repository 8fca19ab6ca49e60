"""What training's memory-bound parts are on a CPU: kernels in C, compiled by its own compiler."""
