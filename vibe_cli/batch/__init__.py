"""Folders of clips: found, planned, run by workers that may die, resumed, reported.

plan      clips → where each one's files go      identity  what a clip and its options are told by
marks     what is finished                       work      one clip, in a worker
pool      worker processes of this machine       ray_pool  the same on a Ray cluster
schedule  who does what, time limits, retries    report    report.json, report.csv, index.html
pieces    long clips cut for several workers
remote    clips and outputs at URLs
lock      one run an output folder               run       all of it
"""
