#!/usr/bin/env bash
# All that only a GPU can tell, in nine minutes on a machine that has CUDA and no network: whether the CUDA path works,
# what a step costs in each way, and how far the chapter's table comes.
#
#     bash benchmarks/gpu_session.sh wheels     # once, where there is a network: fills benchmarks/wheels, 34 MiB with MNIST
#     bash benchmarks/gpu_session.sh            # there; OUT=FOLDER names where the results go (gpu_session)
#     DEVICE=cpu QUICK=1 bash benchmarks/gpu_session.sh    # a rehearsal without a GPU: every part, in a tiny form
#     PARTS="tests runs" bash benchmarks/gpu_session.sh    # only these, by the names of their files below
#
# Carry along with the repository: benchmarks/wheels, which git ignores. The machine must have Python 3.12, torch (2.11
# or newer, with CUDA), pytorch-lightning with torchmetrics, numpy and scipy; torch stays as it is there. Of PACKAGES
# what is not there, or older, comes from benchmarks/wheels into a folder of its own, which is removed at the end. Numba
# is not among them, for it would take 64 MB: a GPU needs none. MNIST is read from MNIST_DIR or benchmarks/wheels/mnist
# (`wheels` copies it there from MNIST_DIR); without it everything runs on the digits that come with scikit-learn.
#
# Each part writes to its own file as it goes and has its own limit in seconds; one that fails or lasts too long stops no
# other, and one for which too little of DEADLINE (540) seconds is left is skipped. In OUT lie ten files:
#     summary.txt    the machine, its packages, and a line for each part: passed, failed, timed out or skipped, seconds
#     tests.txt      the CUDA tests of graphs and kernels
#     kinds.txt      every kind of run against the same on the CPU: tasks, rules, layers, own networks
#     runs.txt       conv2_relu three times, and a sweep of 16 trials, with their accuracies
#     steps.txt      µs a step in float32: nets c and d, K = 3, 15 and 64, in the ways of benchmarks/gpu.py
#     kernels.txt    where the time of a step of net c goes, K = 64
#     precisions.txt steps of net c, K = 64, in tf32 and bf16
#     trials.txt     64 trials of net c as one stack against plain Lightning
#     chapter.txt    the chapter's rows, three repeats each, the short ones first, until the time is up
#     details.tar.gz every run's folder but for its weights, every sample of the measurements
# Exit status: 0 all parts passed or were skipped; 1 one failed or lasted too long.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

PACKAGES="
    alembic==1.20.1 annotated-types==0.8.0 antlr4-python3-runtime==4.9.3 cmaes==0.13.1 colorlog==6.12.0 filelock==4.2.11
    greenlet==3.5.6 hydra-core==1.3.8 hypothesis==6.170.15 iniconfig==2.3.1 joblib==1.6.0 Mako==1.4.3
    markdown-it-py==4.3.0 MarkupSafe==3.0.4 mdurl==0.1.2 narwhals==2.29.0 omegaconf==2.3.1 optuna==5.0.0 platformdirs==4.14.5
    pluggy==1.7.0 pooch==1.9.0 pydantic==2.14.3 pydantic_core==2.50.4 Pygments==2.21.0 pytest==9.2.0 pytest-timeout==2.4.0
    pyyaml==6.0.4 rich==15.0.0 scikit-learn==1.9.1 sortedcontainers==2.4.0 SQLAlchemy==2.1.9 threadpoolctl==3.8.0 tqdm==4.70.1
    typing_extensions==4.16.0 typing-inspection==0.4.5
"
WHEELS=benchmarks/wheels
PYTHON=${PYTHON:-python3}
DEVICE=${DEVICE:-cuda}
QUICK=${QUICK:-}
DEADLINE=${DEADLINE:-540}
PARTS=${PARTS:-tests kinds runs steps kernels precisions trials chapter}
TESTS=${TESTS:-on_cuda} # a choice among the tests, as pytest's -k takes it
export PYTHONUNBUFFERED=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1

fill_wheels() { # antlr comes as source only, so its wheel is made here; the others are those for Python 3.12
    mkdir -p $WHEELS && $PYTHON -m pip wheel --no-deps --wheel-dir $WHEELS antlr4-python3-runtime==4.9.3 &&
        $PYTHON -m pip download --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
            --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_24_x86_64 \
            --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --find-links $WHEELS --dest $WHEELS $PACKAGES ||
        return
    if [ -n "${MNIST_DIR:-}" ]; then mkdir -p $WHEELS/mnist && cp -f "$MNIST_DIR"/*-ubyte* $WHEELS/mnist; fi
    du -sh $WHEELS
}

if [ "${1:-}" = wheels ]; then
    fill_wheels
    exit
fi

OUT=${OUT:-gpu_session}
mkdir -p "$OUT" && OUT=$(cd "$OUT" && pwd) && scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/details"
worst=0
say() { printf '%s\n' "$*" | tee -a "$OUT/summary.txt"; }

# step FILE LIMIT LEAST COMMAND …: one command of at most LIMIT seconds; 1: skipped, for less than LEAST were left.
step() {
    local file=$1 limit=$2 least=$3 left=$((DEADLINE - SECONDS)) start=$SECONDS status words
    shift 3
    [[ " $PARTS " == *" $file "* ]] || return 0
    [ -z "$QUICK" ] || least=1 limit=$DEADLINE
    if [ $left -lt "$least" ]; then
        say "skipped      0 s  $file: $* ($left of $DEADLINE s left, needs $least)"
        return 1
    fi
    printf '\n$ %s\n' "$*" >>"$OUT/$file.txt"
    # TERM: a run then keeps what it has; where it does not end by itself, it is ended.
    timeout --kill-after=10 $((left < limit ? left : limit)) "$@" >>"$OUT/$file.txt" 2>&1 </dev/null
    status=$?
    case $status in
    0) words=passed ;;
    124 | 137) words="timed out" worst=1 ;;
    *) words="failed" worst=1 ;;
    esac
    say "$(printf '%-9s %4d s  %s: %s' "$words" $((SECONDS - start)) "$file" "$*")"
    tar -czf "$scratch/details.tar.gz" -C "$scratch" --exclude="*.pt" details && mv "$scratch/details.tar.gz" "$OUT/details.tar.gz"
    return 0
}

train() { # FILE LIMIT LEAST NAME OVERRIDE …
    local file=$1 limit=$2 least=$3 folder=$scratch/details/$4
    shift 4
    step "$file" "$limit" "$least" "$PYTHON" -m src.train "$@" "data=$data" tracking=none figures=false \
        "trainer.accelerator=$DEVICE" $only_quick "hydra.run.dir=$folder" "hydra.sweep.dir=$folder"
}

measure() { # FILE LIMIT LEAST OPTION …
    local file=$1 limit=$2 least=$3
    shift 3
    step "$file" "$limit" "$least" "$PYTHON" -m benchmarks.gpu "--device=$DEVICE" ${QUICK:+--quick} "$@" \
        "--json=$scratch/details/$file.json"
}

# What is there, and what is missing.
say "$(date -u +%FT%TZ), device $DEVICE, at most $DEADLINE s${QUICK:+, quick: shows that it works, measures nothing}"
command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader |
    tee -a "$OUT/summary.txt"
missing=$("$PYTHON" - $PACKAGES 2>"$scratch/listing" <<'END'
import re
import sys
from importlib.metadata import PackageNotFoundError, version

def found(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"

def number(text):
    return [int(part) for part in re.findall(r"\d+", text)]

there = {pin: found(pin.split("==")[0]) for pin in sys.argv[1:]}
missing = [pin for pin, here in there.items() if number(here) < number(pin.split("==")[1])]
others = ("torch", "triton", "pytorch-lightning", "torchmetrics", "numpy", "scipy", "numba")
print(f"Python {sys.version.split()[0]}, {', '.join(f'{name} {found(name)}' for name in others)}", file=sys.stderr)
print("missing:", ", ".join(f"{pin} (here: {there[pin]})" for pin in missing) or "nothing", file=sys.stderr)
print(*missing)
END
)
say "$(cat "$scratch/listing")"
if [ -n "$missing" ] && [ -d $WHEELS ]; then
    # shellcheck disable=SC2086  # several words
    "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --root-user-action=ignore \
        --disable-pip-version-check --find-links $WHEELS --target "$scratch/site" $missing 2>&1 | tee -a "$OUT/summary.txt" || worst=1
    export PYTHONPATH=$scratch/site${PYTHONPATH:+:$PYTHONPATH}
elif [ -n "$missing" ]; then
    say "there is no $WHEELS to take them from"
fi
[ -n "${MNIST_DIR:-}" ] || [ ! -d $WHEELS/mnist ] || export MNIST_DIR=$PWD/$WHEELS/mnist
[ -n "${MNIST_DIR:-}" ] && data=mnist || data=digits
only_quick="" nets=c,d sizes=3,15,64 epochs=5
if [ -n "$QUICK" ]; then
    unset MNIST_DIR
    export OMP_NUM_THREADS=1
    data=digits nets=a sizes=3 epochs=1
    only_quick="trainer.engine=torch trainer.compile=false trainer.threads=1 max_epochs=1 data.train=100 model.maps=[2,2]"
fi

# 1. The CUDA tests. Warnings of other versions than ours are no failures here.
pytest=("$PYTHON" -m pytest -p pytest_timeout -p no:cacheprovider -v -rA --tb=short --durations=10 -W default -k "$TESTS")
step tests 120 20 "${pytest[@]}" tests/training/engines/test_graphs.py tests/data/test_expansion.py \
    tests/benchmarks/test_benchmarks.py
step kinds 150 60 "${pytest[@]}" tests/commands/test_on_cuda.py

# 2. From the command to accuracies.
train runs 60 20 run +exp=conv2_relu repeats=3 max_epochs=$epochs
train runs 90 20 sweep -m hydra/sweeper=optuna +exp=conv2_relu max_epochs=$epochs hydra.sweeper.study_name=gpu \
    "hydra.sweeper.storage=sqlite:///$scratch/details/studies.db" hydra.sweeper.n_trials=16 hydra.launcher.max_members=16 \
    "optim.eta=tag(log, interval(0.01, 0.1))" "optim.lambda_=tag(log, interval(0.01, 1))"

# 3. and 4. Steps. Several stacks on streams of their own (5.) are not built.
ways=graph,grouped+graph,by-hand+graph
measure steps 120 30 --parts=steps --rounds=3 --nets=$nets --sizes=$sizes --ways=$ways
measure kernels 60 30 --parts=kernels --nets=${nets%,*} --sizes=${sizes##*,} --ways=graph,grouped+graph
measure precisions 60 30 --parts=steps --rounds=3 --nets=${nets%,*} --sizes=${sizes##*,} --ways=graph --precision=tf32,bf16

# 6. Trials.
measure trials 90 30 --parts=trials --nets=${nets%,*} --rounds=3 --ways=graph

# 7. The chapter.
"$PYTHON" -c 'from src.commands.reproduce import RUNS
for name, overrides in RUNS.items(): print(name, *overrides)' >"$scratch/rows"
[ -z "$QUICK" ] || sed -i 1q "$scratch/rows"
while read -r name overrides; do
    # shellcheck disable=SC2086  # several words
    train chapter 540 20 "$name" $overrides || break
done <"$scratch/rows"

say "$SECONDS s; the results are in $OUT"
exit $worst
