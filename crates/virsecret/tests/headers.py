#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proves that our C headers declare the ABI of libvirt's own.

    headers.py OURS_INCLUDE_DIR [THEIRS_INCLUDE_DIR]

Each directory is one that a program gives to `-I`: it has `libvirt/libvirt.h` in it. Theirs is the system's when it is
not said. Any libvirt from 9.0.0 on will do; what came later than theirs is in NEWER.

    our headers ──preprocess, split──▶ declarations ──compiled after their headers──▶ the compiler's word
                                       names        ──printed by a program for each──▶ equal values

Types are compared by the compilers: a function, variable or typedef may be declared twice in C11 and C++ when both
say the same type, so each of our declarations is compiled after their headers. C takes an enum for an int there, C++
does not; without a C++ compiler that much is not checked, and said so.

Exits 0 when all is equal, 1 with a list when something is not, 2 when it cannot check at all.

The C programs of `tests/recorded/libvirt` must compile with our headers. Environment: CC, CXX.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# What we have that an older libvirt has not, and since when it does.
NEWER = {
    "VIR_ERR_NO_NETWORK_METADATA": 9_007_000,
    "VIR_ERR_AGENT_COMMAND_TIMEOUT": 11_002_000,
    "VIR_ERR_AGENT_COMMAND_FAILED": 11_002_000,
    "VIR_ERR_INVALID_ENCR_KEY_SECRET": 12_001_000,
}

# Their files that we have whole. Of libvirt-host.h we have all but LEFT_OUT; of the others, handles alone.
WHOLE = ("libvirt-common.h", "libvirt-event.h", "libvirt-host.h", "libvirt-secret.h", "virterror.h")
LEFT_OUT = re.compile(
    r"_?virNode|_?virSecurity|virCPU|virConnect(Compare|Baseline|GetCPU)"  # types, functions
    r"|VIR_NODE|VIR_SECURITY|VIR_CPU|VIR_CONNECT_(COMPARE|BASELINE)_CPU"  # constants, macros
)

# Macros that are no values, with what C must find true of them in both.
NOT_VALUES = {
    "VIR_DEPRECATED": "1",
    "VIR_EXPORT_VAR": "1",
    "LIBVIR_CHECK_VERSION": " && ".join((
        "LIBVIR_CHECK_VERSION(0, 9, 10)",
        "LIBVIR_CHECK_VERSION(LIBVIR_VERSION_NUMBER / 1000000, LIBVIR_VERSION_NUMBER / 1000 % 1000, 0)",
        "!LIBVIR_CHECK_VERSION(LIBVIR_VERSION_NUMBER / 1000000, LIBVIR_VERSION_NUMBER / 1000 % 1000, 1)",
        "!LIBVIR_CHECK_VERSION(99, 0, 0)",
    )),
    "VIR_SECRET_EVENT_CALLBACK": "__builtin_types_compatible_p("
        "__typeof__(VIR_SECRET_EVENT_CALLBACK(0)), virConnectSecretEventGenericCallback)",
}

OUR_OWN = re.compile(r"VIRSECRET_")  # our guards and helpers
THEIR_OWN = re.compile(r"__VIR|LIBVIRT_\w*H$")

C_STANDARDS = ("c89", "c99", "c11")
CXX_STANDARDS = ("c++98", "c++11", "c++20")
WARNINGS = ("-pedantic", "-Wall", "-Wextra", "-Werror", "-Wundef", "-Wshadow", "-Wredundant-decls")
C_WARNINGS = ("-Wstrict-prototypes", "-Wc++-compat")

CC = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
CXX = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")


def main(arguments):
    if len(arguments) not in (1, 2) or not CC:
        print(__doc__ if CC else "headers.py: no C compiler", file=sys.stderr)
        return 2
    theirs = arguments[1] if len(arguments) == 2 else system_include_dir()
    for folder in (arguments[0], theirs):
        if not Path(folder, "libvirt/libvirt.h").is_file():
            print(f"headers.py: no libvirt/libvirt.h in {folder}", file=sys.stderr)
            return 2
    with tempfile.TemporaryDirectory() as folder:
        report = Report()
        check(Headers(arguments[0], folder), Headers(theirs, folder), report)
        return report.close()


def check(ours, theirs, report):
    print(f"ours   {ours.include} ({dotted(ours.version)})")
    print(f"theirs {theirs.include} ({dotted(theirs.version)})")
    check_names(ours, theirs, report)
    check_constants(ours, theirs, report)
    check_macros(ours, theirs, report)
    check_structs(ours, theirs, report)
    check_declarations(ours, theirs, report)
    check_definitions(ours, report)
    check_nothing_missing(ours, theirs, report)
    check_compiles_cleanly(ours, report)
    check_conformance(ours, report)


def system_include_dir():
    try:
        query = ["pkg-config", "--variable=includedir", "libvirt"]
        found = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        found = ""
    return found or "/usr/include"


# The checks. Each says what it looked at, with a count.


def check_names(ours, theirs, report):
    """What we have, they have, or have since."""
    for name in sorted(ours.names() - theirs.names()):
        since = NEWER.get(name)
        if since is None:
            report.fault(f"{name}: not in libvirt {dotted(theirs.version)}, nor in NEWER")
        elif since <= theirs.version:
            report.fault(f"{name}: not in libvirt {dotted(theirs.version)}, though NEWER says {dotted(since)}")
    for name in sorted(set(NEWER) - ours.names()):
        report.fault(f"{name}: in NEWER, not in our headers")
    later = sorted(ours.names() - theirs.names())
    report.say(f"{len(ours.names())} names of ours, {len(later)} newer than theirs", later)


def check_constants(ours, theirs, report):
    ending, count = [], 0
    ours_is, theirs_is = ours.values(ours.constants()), theirs.values(theirs.constants())
    for enum, constants in ours.enums.items():
        for name in constants:
            count += 1
            if name not in theirs_is:
                continue
            if name not in theirs.enums.get(enum, ()):
                report.fault(f"{name}: a constant of {enum}, but not in theirs")
            elif name.endswith("_LAST"):
                ending.append(f"{name} {ours_is[name]} (theirs {theirs_is[name]})")
            elif ours_is[name] != theirs_is[name]:
                report.fault(f"{name}: {ours_is[name]}, theirs {theirs_is[name]}")
        *others, last = constants
        if last.endswith("_LAST") and int(ours_is[last]) != max(int(ours_is[name]) for name in others) + 1:
            report.fault(f"{last}: {ours_is[last]}, not one more than the greatest of {enum}")
    report.say(f"{count} constants of {len(ours.enums)} enums; {len(ending)} that grow with versions", ending)


def check_macros(ours, theirs, report):
    def value_macros(headers):
        return sorted(set(headers.macros) & set(ours.macros) - set(NOT_VALUES))

    ours_is, theirs_is = ours.values(value_macros(ours)), theirs.values(value_macros(theirs))
    for name in sorted(set(ours_is) & set(theirs_is) - {"LIBVIR_VERSION_NUMBER"}):
        if ours_is[name] != theirs_is[name]:
            report.fault(f"{name}: {ours_is[name]}, theirs {theirs_is[name]}")
    for name, truth in NOT_VALUES.items():
        if name not in ours.macros or name not in theirs.macros:
            report.fault(f"{name}: not a macro in both")
        for headers in (ours, theirs):
            for fault in headers.compile([f"_Static_assert({truth}, {quoted(name)});"]):
                report.fault(f"{name} of {headers.include}: {fault}")
    if ours.macros.get("VIR_DEPRECATED") != theirs.macros.get("VIR_DEPRECATED"):
        report.fault("VIR_DEPRECATED: not the same text")
    report.say(f"{len(ours_is)} macros that are values, {len(NOT_VALUES)} that are not")


def check_structs(ours, theirs, report):
    """The size of each struct; name, order, offset, size and type of each field."""
    in_c, in_cxx, count = [], [], 0
    for tag, body in ours.structs.items():
        fields, their_fields = field_paths(body), field_paths(theirs.structs.get(tag, ""))
        count += len(fields)
        if fields != their_fields:
            report.fault(f"struct {tag}: fields {fields}, theirs {their_fields}")
            continue
        copy = f"struct ours{tag} {{{body}}};"
        size = f"sizeof(struct {tag}) == sizeof(struct ours{tag})"
        in_c += [located(tag, copy), located(f"sizeof {tag}", f'_Static_assert({size}, "not the same");')]
        in_cxx += [located(tag, copy)]
        for field in fields:
            theirs_at, ours_at = f"((struct {tag} *)0)->{field}", f"((struct ours{tag} *)0)->{field}"
            where = f"{tag}.{field}"
            for same in (
                f"__builtin_offsetof(struct {tag}, {field}) == __builtin_offsetof(struct ours{tag}, {field})",
                f"sizeof({theirs_at}) == sizeof({ours_at})",
            ):
                in_c.append(located(where, f'_Static_assert({same}, "not the same place");'))
            if is_union(body, field):
                continue  # Two unions are never one type. Its fields are here by themselves.
            same = f"__builtin_types_compatible_p(__typeof__({theirs_at}), __typeof__({ours_at}))"
            in_c.append(located(where, f'_Static_assert({same}, "not the same type");'))
            same = f"virsecret_same<decltype({theirs_at}), decltype({ours_at})>::is"
            in_cxx.append(located(where, f'static_assert({same}, "not the same type");'))
    template = ["template<class A, class B> struct virsecret_same { static const bool is = false; };",
                "template<class A> struct virsecret_same<A, A> { static const bool is = true; };"]
    for fault in theirs.compile(in_c) + theirs.compile_cxx(in_cxx, before=template):
        report.fault(fault)
    report.say(f"{len(ours.structs)} structs with {count} fields")


def check_declarations(ours, theirs, report):
    """Functions, variables and typedefs: ours compile after theirs."""
    lines = []
    for name, text in {**ours.typedefs, **ours.functions, **ours.variables}.items():
        there = f"extern {name} *virsecret_{name};" if name in ours.typedefs else f"extern __typeof__({name}) {name};"
        lines += [located(name, there), located(name, f"{text};")]
    for fault in theirs.compile(lines) + theirs.compile_cxx(lines):
        report.fault(fault)
    # A check that cannot fail is none.
    wrong = [located("control", "int virSecretFree(virConnectPtr conn);")]
    if not theirs.compile(wrong) or CXX and not theirs.compile_cxx(wrong):
        report.fault("control: a wrong declaration was accepted")
    pointers = [name for name, text in ours.typedefs.items() if "(" in text]
    report.say(
        f"{len(ours.functions)} functions, {len(ours.variables)} variable, {len(ours.typedefs)} typedefs "
        f"({len(pointers)} of function pointers), by the C compiler"
        + (" and the C++ compiler" if CXX else "; no C++ compiler, so an enum may pass for an int")
    )


def check_definitions(ours, report):
    """What the library defines takes as many arguments as it is declared with, pointers where pointers are declared."""
    pointers = {name for name, text in ours.typedefs.items() if "*" in text}

    def is_pointer(parameter):
        return "*" in parameter or "[" in parameter or any(word in pointers for word in re.findall(r"\w+", parameter))

    count = 0
    for source in sorted((Path(__file__).parent.parent / "src/abi").glob("*.rs")):
        for name, taken in re.findall(r'extern "C" fn (vir\w+)\(([^{]*?)\) *(?:->[^{]*)?\{', source.read_text()):
            count += 1
            if name not in ours.functions:
                report.fault(f"{name}: defined, and not declared")
                continue
            declared = re.search(rf"\b{name} ?\((.*)\)$", ours.functions[name]).group(1)
            declared = [part for part in split(declared, ",") if part.strip() != "void"]
            taken = [part.split(":", 1)[1].strip() for part in split(taken, ",")]
            if len(taken) != len(declared):
                report.fault(f"{name}: defined with {len(taken)} arguments, declared with {len(declared)}")
            for rust, c in zip(taken, declared):
                if rust.startswith("*") and not is_pointer(c) or rust.startswith("c_") and is_pointer(c):
                    report.fault(f"{name}: defined with {rust}, declared with {c}")
    if count < 60:
        report.fault(f"only {count} definitions found")
    report.say(f"{count} functions as the library defines them")


def check_nothing_missing(ours, theirs, report):
    """What they have, we have, but for what is left out by name. Theirs may be newer than ours: then it is listed."""
    missing = {name for name in theirs.names() - ours.names() if theirs.file_of[name] in WHOLE}
    left_out = {name for name in missing if theirs.file_of[name] == "libvirt-host.h" and LEFT_OUT.match(name)}
    unknown = sorted(missing - left_out)
    if theirs.version <= ours.version:
        for name in unknown:
            report.fault(f"{name}: in their {theirs.file_of[name]}, not in ours")
    report.say(f"of their {', '.join(WHOLE)} nothing missing but {len(left_out)} left out of libvirt-host.h"
               + (f" and {len(unknown)} perhaps newer than ours" if unknown else ""), unknown)


def check_compiles_cleanly(ours, report):
    orders = (["libvirt"], ["virterror"], ["libvirt", "virterror"], ["virterror", "libvirt", "virterror", "libvirt"])
    languages = [(CC, "c", standard, C_WARNINGS) for standard in C_STANDARDS]
    languages += [(CXX, "c++", standard, ()) for standard in CXX_STANDARDS if CXX]
    count = 0
    for compiler, language, standard, more in languages:
        for order in orders:
            for define in ((), ("-DVIR_ENUM_SENTINELS",)):
                source = "".join(f"#include <libvirt/{name}.h>\n" for name in order) + "int main(void) { return 0; }\n"
                options = [f"-std={standard}", *WARNINGS, *more, *define]
                count += 1
                for fault in run_compiler(compiler, language, ours.include, source, options):
                    report.fault(f"-std={standard} {'+'.join(order)} {' '.join(define)}: {fault}")
    for part in sorted(Path(ours.include, "libvirt").glob("libvirt-*.h")):
        count += 1
        if not run_compiler(CC, "c", ours.include, f"#include <libvirt/{part.name}>\n", []):
            report.fault(f"{part.name}: may be included directly, which libvirt does not allow")
    report.say(f"{count} programs of nothing but includes, C {' '.join(C_STANDARDS)}, "
               + (" ".join(CXX_STANDARDS) if CXX else "no C++ compiler"))


def check_conformance(ours, report):
    folder = Path(__file__).parents[3] / "tests/recorded/libvirt"
    programs = sorted(folder.glob("*.c"))
    if not programs:
        report.fault(f"no C programs in {folder}")
    for program in programs:
        for fault in run_compiler(CC, "c", ours.include, program.read_text(), ["-std=gnu11"]):
            report.fault(f"{program.name}: {fault}")
    report.say("conformance programs", [program.name for program in programs])


# One set of headers.


class Headers:
    """What one include directory declares."""

    def __init__(self, include, scratch):
        self.include = os.path.realpath(include)
        self.scratch = scratch
        self.macros, self.file_of = {}, {}
        self.enums, self.structs, self.typedefs, self.functions, self.variables = {}, {}, {}, {}, {}
        self._read()
        self.version = int(self.values(["LIBVIR_VERSION_NUMBER"])["LIBVIR_VERSION_NUMBER"])

    def names(self):
        return set().union(self.constants(), self.macros, self.typedefs, self.functions, self.variables,
                           self.enums, self.structs)

    def constants(self):
        return [name for constants in self.enums.values() for name in constants]

    def values(self, names):
        """The value of each constant or macro, as a program printed it."""
        source = INCLUDES + "#include <stdio.h>\nint main(void) {\n"
        for name in names:
            text = self.macros.get(name, "").startswith('"')
            source += f'printf("{name} %s\\n", {name});\n' if text else f'printf("{name} %lld\\n", (long long)({name}));\n'
        program = os.path.join(self.scratch, "values")
        faults = run_compiler(CC, "c", self.include, source + "return 0; }\n", ["-DVIR_ENUM_SENTINELS"], output=program)
        if faults:
            raise SystemExit(f"headers.py: {faults}")
        printed = subprocess.run([program], capture_output=True, text=True, check=True).stdout
        return dict(line.split(" ", 1) for line in printed.splitlines())

    def compile(self, lines):
        return run_compiler(CC, "c", self.include, INCLUDES + "\n".join(lines) + "\n", ["-std=gnu11"])

    def compile_cxx(self, lines, before=()):
        if not CXX:
            return []
        source = INCLUDES + "\n".join(before) + '\nextern "C" {\n' + "\n".join(lines) + "\n}\n"
        return run_compiler(CXX, "c++", self.include, source, ["-std=gnu++11"])

    def _read(self):
        for file, text in self._own_text().items():
            own = OUR_OWN if "VIRSECRET_" in text else THEIR_OWN
            for name, body in re.findall(r"(?m)^#define (\w+)(.*)", text):
                if not own.match(name):
                    self.macros[name] = " ".join(body.split())
                    self.file_of[name] = file
            plain = re.sub(r"(?m)^#.*", "", text)
            plain = re.sub(r"__extension__|__attribute__ *\(\(\w+\)\)", "", plain)
            for declaration in split(plain, ";"):
                self._declare(" ".join(declaration.split()), file)

    def _own_text(self):
        """The preprocessed text of each file, by its name, with its #defines."""
        command = [CC, "-E", "-dD", "-DVIR_ENUM_SENTINELS", f"-I{self.include}", "-x", "c", "-"]
        run = subprocess.run(command, input=INCLUDES, capture_output=True, text=True, check=False)
        if run.returncode:
            raise SystemExit(f"headers.py: {run.stderr}")
        texts, file = {}, None
        for line in run.stdout.splitlines():
            marker = re.match(r'# \d+ "(.*?)"', line)
            if marker:
                path = Path(os.path.realpath(marker.group(1)))
                file = path.name if path.parent == Path(self.include, "libvirt") else None
            elif file:
                texts[file] = texts.get(file, "") + line + "\n"
        return texts

    def _declare(self, text, file):
        """Files one declaration, `;` off, under the name it declares."""
        if not text:
            return
        shape = re.match(r"(typedef )?(enum|struct) ?(\w*) ?{(.*)} ?(\w*)$", text)
        if shape and shape.group(2) == "enum":
            name = shape.group(5) or shape.group(3)
            constants = [re.match(r"\w+", part.strip()).group() for part in split(shape.group(4), ",")]
            self.enums[name] = constants
            self.file_of.update(dict.fromkeys([name, *constants], file))
            return
        if shape:
            name = shape.group(3)
            self.structs[name] = shape.group(4)
        elif text.startswith("typedef "):
            name = re.search(r"\(\*(\w+)\)", text) or re.search(r"(\w+)$", text)
            name = name.group(1)
            self.typedefs[name] = text
        elif "(" in text:
            name = re.search(r"(\w+) ?\(", text).group(1)
            self.functions[name] = text
        else:
            name = re.search(r"(\w+)$", text).group(1)
            self.variables[name] = text
        self.file_of[name] = file


INCLUDES = "#include <libvirt/libvirt.h>\n#include <libvirt/virterror.h>\n"


def split(text, separator):
    """Parts between separators that are in no bracket, empty ones left out."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(text):
        depth += (character in "{(") - (character in "})")
        if character == separator and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return [part for part in parts if part.strip()]


def field_paths(body):
    """`message`, `value`, `value.i`: the fields of a struct, those of unions in it after them."""
    paths = []
    for field in split(body, ";"):
        nested = re.match(r" ?union ?{(.*)} ?(\w+)$", field.strip())
        if nested:
            paths.append(nested.group(2))
            paths += [f"{nested.group(2)}.{path}" for path in field_paths(nested.group(1))]
        else:
            paths.append(re.search(r"(\w+)( ?\[.*\])*$", field.strip()).group(1))
    return paths


def is_union(body, field):
    return any(path.startswith(f"{field}.") for path in field_paths(body))


def located(name, text):
    """A line that the compiler's complaint will name."""
    return f"#line 1 {quoted(name)}\n{text}"


def quoted(name):
    return f'"{name}"'


def run_compiler(compiler, language, include, source, options, output=None):
    """Compiles a program, and returns the compiler's errors, none when it is fine."""
    command = [compiler, "-x", language, f"-I{include}", "-Wno-deprecated-declarations", *options]
    command += ["-o", output, "-"] if output else ["-fsyntax-only", "-"]
    run = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return []
    errors = [line for line in run.stderr.splitlines() if re.search(r"\berror: ", line)]
    return errors or [run.stderr.strip() or f"{compiler} failed"]


def dotted(version):
    return f"{version // 1_000_000}.{version // 1000 % 1000}.{version % 1000}"


class Report:
    """Says what was checked as it goes, and what was wrong at the end."""

    def __init__(self):
        self.faults, self.said = [], 0

    def say(self, what, names=()):
        print(f"  {'ok  ' if len(self.faults) == self.said else 'FAIL'} {what}" + (":" if names else ""))
        for name in names:
            print(f"         {name}")
        self.said = len(self.faults)

    def fault(self, what):
        self.faults.append(what)

    def close(self):
        if self.faults:
            print(f"{len(self.faults)} differences:")
            print("".join(f"  {fault}\n" for fault in self.faults), end="")
            return 1
        print("no differences")
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
