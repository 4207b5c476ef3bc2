"""One contract read from the map of the house: who may lean on whom, and through which door."""

import tomllib
from pathlib import Path

from importlinter import Contract, ContractCheck, fields, output


class HouseContract(Contract):
    map = fields.StringField()
    doors = fields.ListField(subfield=fields.StringField())

    def check(self, graph, verbose):
        rooms = tomllib.loads(Path(self.map).read_text())
        home = {f"lianfang.{r['floor']}.{name}": name for name, r in rooms.items()}

        def room_of(module):
            return home.get(".".join(module.split(".")[:3]))

        broken = []
        for importer in sorted(graph.modules):
            here = room_of(importer)
            if here is None:
                continue
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                there = room_of(imported)
                if there is None or there == here:
                    continue
                door = [*imported.split("."), "", ""][3]
                if there not in rooms[here]["needs"]:
                    broken.append(f"{importer} -> {imported}: {here} does not name {there}")
                elif door not in rooms[there].get("doors", self.doors):
                    broken.append(f"{importer} -> {imported}: not a door of {there}")
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check):
        for line in check.metadata["broken"]:
            output.print_error(line)


class LibraryContract(Contract):
    map = fields.StringField()

    def check(self, graph, verbose):
        homes = tomllib.loads(Path(self.map).read_text())
        broken = [
            f"{importer} -> {library}: its home is {home}"
            for library, home in homes.items() if library in graph.modules
            for importer in sorted(graph.find_modules_that_directly_import(library))
            if not f"{importer}.".startswith(f"{home}.")
        ]
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    render_broken_contract = HouseContract.render_broken_contract
