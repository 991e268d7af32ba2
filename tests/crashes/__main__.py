"""`python -m tests.crashes`: run programs that fail and keep what they wrote, as NAME.txt beside this file.

The texts are fixtures: they are what real interpreters and runtimes print. To be run where all of these are installed,
in a directory whose name may be read by everybody.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
PLACE = Path("/srv/shop")


class Program(NamedTuple):
    """A source, the file it goes into, and the commands that run it there; what they print is kept."""

    file: str
    commands: list[list[str]]
    source: str


def python(source: str) -> Program:
    return Program("app.py", [["/usr/bin/python3", "app.py"]], source)


def node(source: str) -> Program:
    return Program("app.js", [["node", "app.js"]], source)


def go(source: str) -> Program:
    return Program("main.go", [["go", "build", "-o", "app", "main.go"], ["./app"]], source)


def java(source: str) -> Program:
    return Program("App.java", [["javac", "App.java"], ["java", "App"]], source)


def rust(source: str, *environ: str) -> Program:
    run = ["env", "-u", "RUST_BACKTRACE", *environ, "./app"]
    return Program("main.rs", [["rustc", "-g", "-o", "app", "main.rs"], run], source)


PROGRAMS = {
    "python-plain": python("""
def total(prices):
    return sum(prices) / len(prices)

print("counting", flush=True)
total([])
"""),
    "python-chained": python("""
def look(table, key):
    try:
        return table[key]
    except KeyError as error:
        raise LookupError(f"no price for {key}\\nof 3 tables") from error

try:
    look({}, "tea")
except LookupError:
    raise RuntimeError("the shop cannot open")
"""),
    "python-group": python("""
import asyncio

async def fetch(number):
    await asyncio.sleep(0)
    raise ConnectionError(f"upstream {number} is gone")

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(fetch(1))
        group.create_task(fetch(2))

asyncio.run(main())
"""),
    "python-logging": python("""
import logging

logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
log = logging.getLogger("shop.orders")
log.warning("slow")
for number in range(3):
    try:
        int(f"x{number}")
    except ValueError:
        log.exception("order %d failed", number)
log.error("gave up after %d orders", 3)
log.critical("the till is empty")
"""),
    "python-thread": python("""
import threading

def serve():
    raise OSError("no socket")

thread = threading.Thread(target=serve)
thread.start()
thread.join()
print("goes on")
"""),
    "python-syntax": python("def f(:\n    pass\n"),
    "python-recursion": python("""
def again(n):
    return again(n + 1)

again(0)
"""),
    "python-interrupt": python("""
class Halt(BaseException):
    pass

def wait():
    raise Halt

wait()
"""),
    "python-fatal": python("""
import faulthandler
import os
import signal
import time

faulthandler.enable()

def crash():
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(1)

crash()
"""),
    "node-uncaught": node("""
function total(prices) {
  return prices.map((each) => each.amount.value);
}
console.log('counting');
total([{}]);
"""),
    "node-rejection": node("""
async function fetchPrices() {
  await null;
  throw new Error('upstream is gone', { cause: new RangeError('port 99999') });
}
fetchPrices();
"""),
    "node-rejected-value": node("Promise.reject(404);\n"),
    "node-thrown-value": node("throw 'out of tea';\n"),
    "node-code": node("require('node:fs').readFileSync('/nowhere/prices.json');\n"),
    "node-assertion": node("require('node:assert').strictEqual(1, 2);\n"),
    "node-syntax": node("const = 3;\n"),
    "node-logged": node("""
try {
  JSON.parse('{');
} catch (error) {
  console.error('cannot read the prices:', error);
  console.error(error);
}
console.log('goes on');
"""),
    "go-panic": go("""package main

import "fmt"

func total(prices []int, at int) int { return prices[at] }

func main() {
	fmt.Println("counting")
	fmt.Println(total([]int{1, 2}, 5))
}
"""),
    "go-goroutines": go("""package main

import (
	"errors"
	"sync"
)

func main() {
	var wait sync.WaitGroup
	var lock sync.Mutex
	lock.Lock()
	for i := 0; i < 3; i++ {
		wait.Add(1)
		go func() { lock.Lock(); wait.Done() }()
	}
	go func() { panic(errors.New("no stock")) }()
	wait.Wait()
}
"""),
    "go-deadlock": go("package main\n\nfunc main() { <-make(chan int) }\n"),
    "go-nil": go("""package main

type till struct{ sum int }

func (t *till) open() int { return t.sum }

func main() { var t *till; t.open() }
"""),
    "go-http": go("""package main

import (
	"net/http"
	"net/http/httptest"
)

func main() {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("no tea") }))
	http.Get(server.URL)
	http.Get(server.URL)
	server.Close()
}
"""),
    "java-caused": java("""
public class App {
    static int price(String text) {
        try {
            return Integer.parseInt(text);
        } catch (NumberFormatException error) {
            throw new IllegalStateException("no price for tea", error);
        }
    }

    public static void main(String[] args) {
        System.out.println("counting");
        try {
            price("x");
        } catch (IllegalStateException error) {
            throw new RuntimeException("the shop cannot open", error);
        }
    }
}
"""),
    "java-suppressed": java("""
public class App {
    static class Till implements AutoCloseable {
        public void close() { throw new IllegalStateException("jammed"); }
    }

    public static void main(String[] args) throws Exception {
        try (Till till = new Till()) {
            throw new java.io.IOException("no paper");
        }
    }
}
"""),
    "java-logging": java("""
import java.util.logging.Level;
import java.util.logging.Logger;

public class App {
    public static void main(String[] args) {
        Logger log = Logger.getLogger("shop");
        log.info("open");
        log.log(Level.SEVERE, "order 7 failed", new IllegalArgumentException("no such tea"));
        log.severe("gave up");
        new java.io.FileNotFoundException("prices.txt").printStackTrace();
    }
}
"""),
    "rust-panic": rust("""fn total(prices: &[i32], at: usize) -> i32 { prices[at] }

fn main() {
    println!("counting");
    println!("{}", total(&[1, 2], std::env::args().count() + 4));
}
"""),
    "rust-backtrace": rust(
        """fn open(shop: Option<u32>) -> u32 { shop.expect("a shop\\nwith a door") }

fn main() {
    let worker = std::thread::Builder::new().name("worker".into()).spawn(|| open(None)).unwrap();
    let _ = worker.join();
    println!("goes on");
}
""",
        "RUST_BACKTRACE=1",
    ),
    "rust-result": rust("""use std::fs;

fn main() -> std::io::Result<()> {
    fs::read("/nowhere/prices.json")?;
    Ok(())
}
"""),
}


def main() -> None:
    """Run each and write what came."""
    chosen = sys.argv[1:] or [*PROGRAMS]
    PLACE.mkdir(parents=True, exist_ok=True)
    for name in chosen:
        program = PROGRAMS[name]
        (PLACE / program.file).write_text(program.source.removeprefix("\n"), encoding="utf-8")
        for command in program.commands:
            run = subprocess.run(command, cwd=PLACE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        (HERE / f"{name}.txt").write_bytes(run.stdout)


if __name__ == "__main__":
    main()
