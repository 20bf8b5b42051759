"""Compares the routes of docs/openapi.json (which is printed from the routers), of template.yaml and of the table of `cargo lambda
watch`: routes.py OPENAPI TEMPLATE <cargo's metadata. Routes that only operators may use must not be on the public gateway. Needs the Python of cfn-lint, which reads templates with their short forms.
"""

import json
import sys

from cfnlint.decode import cfn_yaml


def openapi_routes(path):
    with open(path, encoding="utf-8") as file:
        paths = json.load(file)["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def operator_routes(path):
    with open(path, encoding="utf-8") as file:
        paths = json.load(file)["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method, route in methods.items() if route["security"] == [{"operator": []}]}


def template_routes(path, known):
    """Each known route's function and gateway, once for each gateway that has it; and the routes of the template that answer none."""
    routes, idle = {}, set()
    for resource in cfn_yaml.load(path)["Resources"].values():
        for event in resource["Properties"].get("Events", {}).values():
            if event["Type"] == "HttpApi":
                http = event["Properties"]
                answered = {route for route in known if answers(http["Method"], http["Path"], *route.split())}
                for route in answered:
                    binary, gateway = resource["Metadata"]["BuildProperties"]["Binary"], http["ApiId"]["Ref"]
                    # Of two that answer, a gateway takes the longer one.
                    before = routes.setdefault(route, {}).get(gateway)
                    if not before or len(before[1]) < len(http["Path"]):
                        routes[route][gateway] = (binary, http["Path"])
                if not answered:
                    idle.add(f"{http['Method']} {http['Path']}")
    return {route: {gateway: binary for gateway, (binary, _) in gateways.items()} for route, gateways in routes.items()}, idle


def answers(event_method, event_path, method, path):
    """Whether a gateway's route answers: ANY stands for all methods, {proxy+} for one part of the path or more."""
    if event_method not in ("ANY", method):
        return False
    if event_path.endswith("{proxy+}"):
        prefix = event_path.removesuffix("{proxy+}")
        return path.startswith(prefix) and len(path) > len(prefix)
    return path == event_path


def watch_routes(metadata, known):
    """A function named for a path alone answers all methods: those that are known of it."""
    routes = {}
    for path, target in metadata["metadata"]["lambda"]["watch"]["router"].items():
        if isinstance(target, str):
            methods = [route.split()[0] for route in known if route.split()[1] == path] or ["ANY"]
            target = [{"method": method, "function": target} for method in methods]
        routes |= {f"{one['method']} {path}": one["function"] for one in target}
    return routes


routers = openapi_routes(sys.argv[1])
template, idle = template_routes(sys.argv[2], routers)
watch = watch_routes(json.load(sys.stdin), routers)
operators = operator_routes(sys.argv[1])
wrong = 0


def complain(what):
    global wrong
    wrong += 1
    print(what, file=sys.stderr)


for route in sorted(idle):
    complain(f"{route}: is in template.yaml, and nothing answers it")
for route in sorted(routers | watch.keys()):
    gateways = template.get(route, {})
    functions = set(gateways.values())
    if route not in routers or route not in watch or not gateways:
        there = {"the routers": route in routers, "template.yaml": bool(gateways), "cargo lambda watch": route in watch}
        complain(f"{route}: " + ", ".join(f"{where}: {'yes' if yes else 'no'}" for where, yes in there.items()))
    elif functions != {watch[route]} and not (gateways.get("Api") == watch[route] and "OperatorApi" in gateways):
        complain(f"{route}: {functions} in template.yaml, {watch[route]} under cargo lambda watch")
    if route in routers and ("Api" in gateways) == (route in operators):
        complain(f"{route}: " + ("is for operators only, and on the public gateway" if route in operators else "is not on the public gateway"))
    if route in operators and "OperatorApi" not in gateways:
        complain(f"{route}: is for operators, and not on their gateway")
sys.exit(1 if wrong else 0)
