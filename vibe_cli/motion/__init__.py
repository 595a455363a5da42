"""Motion of one track: regressed, its left and right told apart, fitted to keypoints, smoothed."""
