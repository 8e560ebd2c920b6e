"""An installation of Apus with everything twice is used by many while it is broken again and again, as a seed says; then what they did and saw is
judged, and the log and its tables are checked.

    python nemesis.py APUS --minutes 3 --seed 1 [--asynchronous] [--hosts] [--scenario NAME]

It is run by ops/nemesis, in namespaces of its own. The last line is: N passed, N failed.
"""

from __future__ import annotations

import argparse
import datetime
import faulthandler
import os
import sys
import tempfile
import time
from pathlib import Path

from world import World

import faults
import scenarios
from judging import Judgement
from people import People, Round

ROUND_SECONDS = 50.0
WHOLE_SECONDS = 120.0  # how long it may take until all is whole again, once nothing is broken any more


def say(words: str) -> None:
    print(f"{datetime.datetime.now():%H:%M:%S}  {words}", flush=True)


def hour(world: World, options: argparse.Namespace) -> Judgement:
    """Rounds of faults, each judged by itself."""
    judgement = Judgement(world, options.folder)
    people = People(world.front)
    over = time.monotonic() + options.minutes * 60
    kinds = [kind for kind in faults.KINDS + (faults.OF_ASYNCHRONOUS if options.asynchronous else []) if kind in options.faults]
    number = 0
    while number == 0 or time.monotonic() + ROUND_SECONDS / 2 < over:
        number += 1
        play = Round(number, options.seed, people, options.writers, options.readers, options.subscribers)
        nemesis = faults.Nemesis(world, say)
        seconds = min(ROUND_SECONDS, max(15.0, over - time.monotonic()))
        plan = faults.schedule(f"{options.seed} {number}", seconds, kinds)
        play.start()
        nemesis.run(plan, seconds)
        took = world.whole(WHOLE_SECONDS)
        found = nemesis.faults_of_ours + play.finish(world.silent)
        judgement.of_round(play, nemesis, found)
        say(f"round {number}: {judgement.summary(play)}; whole again after {took:.1f} s; "
            f"{len(judgement.found) or 'no'} violations so far")
    judgement.of_the_end(people)
    return judgement


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("apus", type=os.path.abspath)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--asynchronous", action="store_true", help="PostgreSQL replicates asynchronously: a failover may lose the end of the log")
    parser.add_argument("--hosts", action="store_true", help="Apus is given all of PostgreSQL's hosts, instead of the proxy's address")
    parser.add_argument("--scenario", type=lambda text: text.split(","), help=f"one fault instead, and how long it is felt; of {sorted(scenarios.ALL)}, separated by commas")
    parser.add_argument("--times", type=int, default=1, help="how often the scenario is played")
    parser.add_argument("--load", type=int, default=0, help="how many processes keep the processors busy beside a scenario")
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--readers", type=int, default=16)
    parser.add_argument("--subscribers", type=int, default=40)
    parser.add_argument("--faults", type=lambda text: text.split(","), default=sorted({*faults.KINDS, *faults.OF_ASYNCHRONOUS}), help="only these kinds, separated by commas")
    parser.add_argument("--keep", type=Path, help="a folder for logs and histories; without it they are kept only where something is wrong")
    options = parser.parse_args()
    faulthandler.dump_traceback_later(options.minutes * 60 + 1800, exit=True)
    options.folder = Path(tempfile.mkdtemp(prefix="apus-nemesis."))
    say(f"seed {options.seed}, {'asynchronous' if options.asynchronous else 'synchronous'} replication, "
        f"{'host=a,b,c' if options.hosts else 'behind HAProxy'}; everything lies in {options.folder}")
    world = World(options.apus, options.folder, options.asynchronous, options.hosts)
    if not world.has_clocks:
        say("without a C compiler clocks are left alone")
    with world:
        say("all is there")
        judgement = scenarios.play(world, options, say) if options.scenario else hour(world, options)
    for words in judgement.found[:40]:
        print(f"FAILED  {words}")
    print(judgement.words())
    passed, failed = judgement.counts()
    if failed or options.keep:
        print(f"logs and histories are in {options.folder}")
        judgement.kept = True
    print(f"{passed} passed, {failed} failed")
    sys.stdout.flush()
    os._exit(1 if failed else 0)  # threads that wait for nothing are not waited for


if __name__ == "__main__":
    main()
