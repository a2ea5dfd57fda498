"""Random networks: each element is evaluated once, after what it takes, however its value is written down."""

import random
from dataclasses import dataclass

import softplc
from softplc.plcopen.export import export

NAMES = "abcde"
PROGRAMS, SCANS = 30, 4
FUNCTIONS = {
    "AND": lambda left, right: left & right,
    "OR": lambda left, right: left | right,
    "XOR": lambda left, right: left ^ right,
}


@dataclass
class Network:
    """Functions over earlier ones and variables, and where their values go."""

    functions: list
    outputs: list


def networks(chance):
    made = []
    for _ in range(chance.randint(2, 4)):
        functions = []
        for number in range(chance.randint(1, 7)):
            takes = [chance.randrange(number) if number and chance.random() < 0.4 else chance.choice(NAMES)]
            takes.append(number - 1 if number else chance.choice(NAMES))
            negated = [chance.random() < 0.3 for _ in takes]
            functions.append((chance.choice(list(FUNCTIONS)), takes, negated))
        last = len(functions) - 1
        outputs = [(chance.choice(NAMES), last)]
        outputs += [(chance.choice(NAMES), chance.randint(0, last)) for _ in range(chance.randint(0, 3))]
        made.append(Network(functions, outputs))
    return made


def drawn(draw, made):
    body = draw.Body()
    for network in made:
        blocks = []
        for name, takes, negated in network.functions:
            inputs = {
                f"IN{place}": blocks[each] if isinstance(each, int) else body.value(each)
                for place, each in enumerate(takes, 1)
            }
            pins = {f"IN{place}": {"negated": "true"} for place, each in enumerate(negated, 1) if each}
            blocks.append(body.block(name, inputs, pins=pins))
        for name, source in network.outputs:
            body.put(name, blocks[source])
        body.network()
    return body


def evaluated(made, values):
    """Do what a network does: what an output needs comes first, once, with the variables as they are then."""
    for network in made:
        known = {}

        def value(number, network=network, known=known):
            if number not in known:
                name, takes, negated = network.functions[number]
                found = [value(each) if isinstance(each, int) else None for each in takes]
                found = [
                    values[each] if each_value is None else each_value
                    for each, each_value in zip(takes, found, strict=True)
                ]
                found = [each ^ 0xFFFF if no else each for each, no in zip(found, negated, strict=True)]
                known[number] = FUNCTIONS[name](*found)
            return known[number]

        for name, source in network.outputs:
            values[name] = value(source)


def test_random_networks_do_what_they_are_drawn_to_do(draw):
    chance = random.Random("networks")
    programs = [networks(chance) for _ in range(PROGRAMS)]
    interface = draw.variables("localVars", dict.fromkeys(NAMES, "WORD"))
    pous = [draw.pou(f"P{number}", drawn(draw, made), interface) for number, made in enumerate(programs)]
    text = draw.project(*pous)
    application = softplc.compile(sources={"p.xml": text})
    assert softplc.compile(sources={"p.xml": export({"p.xml": text})}).roots == application.roots
    simulator = application.simulator()
    state = []
    for number in range(PROGRAMS):
        values = {name: chance.randrange(1 << 16) for name in NAMES}
        state.append(values)
        for name, value in values.items():
            simulator.write(f"P{number}.{name}", value)
    for scan in range(SCANS):
        simulator.scan()
        for number, made in enumerate(programs):
            evaluated(made, state[number])
            seen = {name: simulator.read(f"P{number}.{name}") for name in NAMES}
            assert seen == state[number], f"program {number}, scan {scan}"
