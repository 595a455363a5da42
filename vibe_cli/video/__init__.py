"""Clips in and out: frames and their times, through ffmpeg or from folders of images."""
