"""The shared conventions: boxes, cameras, rotations, and the joints of the skeleton."""
