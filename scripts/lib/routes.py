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


def template_routes(path):
    """Each route's function, and the routes of the public gateway."""
    routes, public = {}, set()
    for resource in cfn_yaml.load(path)["Resources"].values():
        for event in resource["Properties"].get("Events", {}).values():
            if event["Type"] == "HttpApi":
                http = event["Properties"]
                route = f"{http['Method']} {http['Path']}"
                routes[route] = resource["Metadata"]["BuildProperties"]["Binary"]
                if http["ApiId"] == {"Ref": "Api"}:
                    public.add(route)
    return routes, public


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
template, public = template_routes(sys.argv[2])
watch = watch_routes(json.load(sys.stdin), routers)
wrong = 0
for route in sorted(routers | template.keys() | watch.keys()):
    there = {"the routers": route in routers, "template.yaml": template.get(route), "cargo lambda watch": watch.get(route)}
    if not all(there.values()) or template[route] != watch[route]:
        wrong += 1
        print(f"{route}: " + ", ".join(f"{where}: {what or 'no'}" for where, what in there.items()).replace(": True", ": yes"), file=sys.stderr)
for route in sorted(routers & template.keys()):
    if (route in public) == (route in operator_routes(sys.argv[1])):
        wrong += 1
        print(f"{route}: " + ("is for operators only, and on the public gateway" if route in public else "is not on the public gateway"), file=sys.stderr)
sys.exit(1 if wrong else 0)
