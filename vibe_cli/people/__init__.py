"""Who is where: detection, rescoring, tracking, crops, optical flow, and keypoints from elsewhere."""
