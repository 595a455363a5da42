#!/bin/bash
# vibe batch on the nodes of a Slurm job, by a Ray cluster that lives as long as the job:
#
#     sbatch --nodes=4 --gpus-per-node=1 --time=12:00:00 examples/slurm_batch.sh /share/clips /share/results --render
#
# Clips, output and models lie where all nodes see them. Submitted again, after its time ran out or a node died, the
# job goes on with what is missing. Whatever follows the two folders goes to vibe batch.
#SBATCH --job-name=vibe-batch
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: sbatch $0 CLIPS OUTPUT [options of vibe batch]" >&2
    exit 2
fi
clips=$1 output=$2
shift 2

nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=$(head -n 1 <<< "$nodes")
count=$(wc -l <<< "$nodes")
port=$((20000 + SLURM_JOB_ID % 20000))
gpus=${SLURM_GPUS_ON_NODE:-0}
cpus=${SLURM_CPUS_PER_TASK:-8}

# A worker a GPU; without GPUs, one a node.
workers=$((gpus > 0 ? gpus * count : count))

stop() { kill $(jobs -p) 2> /dev/null || true; }
trap stop EXIT

srun --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --port="$port" --num-cpus="$cpus" --num-gpus="$gpus" --disable-usage-stats --block &
if [ "$count" -gt 1 ]; then
    sleep 15
    srun --nodes=$((count - 1)) --ntasks=$((count - 1)) --exclude="$head" \
        ray start --address="$head:$port" --num-cpus="$cpus" --num-gpus="$gpus" --disable-usage-stats --block &
fi

# Until every node has joined, two minutes at the most
for _ in $(seq 60); do
    alive=$(ray status --address="$head:$port" 2> /dev/null | grep -c '^ *1 node_' || true)
    [ "$alive" -ge "$count" ] && break
    sleep 2
done

vibe batch "$clips" -o "$output" --engine ray --address "$head:$port" --workers "$workers" "$@"
