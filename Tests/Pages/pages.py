"""The pages in Debian's chromium, beside the official client: pages.py APUS_BINARY [--screenshots FOLDER]

What a page looks like to a reader of screens is asked of the browser itself: names of controls, headings, contrasts, widths. Scripts that
ask are the test's, which comes in by the driver; the pages have none.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Iterator

for folder in ("Faults", "Clients"):
    sys.path.append(str(Path(__file__).resolve().parent.parent / folder))

import harness  # noqa: E402
import support  # noqa: E402
from etebase import FetchOptions  # noqa: E402
from harness import Person, equal, refused, true  # noqa: E402
from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402
from support import Server, meddle, query, test  # noqa: E402

TYPE = "apus.test"
PATIENCE_SECONDS = 60.0  # for a page, on a busy machine
NARROW, WIDE = (360, 740), (1100, 800)

# Every visible text with its colour, the first opaque colour behind it, and whether it is large.
CONTRASTS = """
const luminance = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
  return .2126 * r + .7152 * g + .0722 * b; };
const colour = (text) => text.match(/[\\d.]+/g).map(Number);
const behind = (e) => { for (; e; e = e.parentElement) { const c = colour(getComputedStyle(e).backgroundColor);
  if (c.length < 4 || c[3] === 1) return c.slice(0, 3); } return matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0] : [255, 255, 255]; };
const found = [];
for (const e of document.querySelectorAll('body *')) {
  if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !e.offsetParent) continue;
  const style = getComputedStyle(e), a = luminance(colour(style.color).slice(0, 3)), b = luminance(behind(e));
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05), size = parseFloat(style.fontSize);
  if (ratio < (size >= 24 ? 3 : 4.5)) found.push(`${e.tagName} "${e.textContent.trim().slice(0, 30)}" ${ratio.toFixed(2)}`);
}
return found;
"""

# What has no name, or is out of the order in which it stands.
STRUCTURE = """
const found = [];
for (const e of document.querySelectorAll('input:not([type=hidden]), select, textarea'))
  if (!e.labels.length && !e.getAttribute('aria-label')) found.push(`no label: ${e.name}`);
for (const e of document.querySelectorAll('button, a')) if (!(e.getAttribute('aria-label') || e.textContent).trim()) found.push(`no name: ${e.outerHTML}`);
if (document.querySelectorAll('h1').length !== 1) found.push('not one h1');
let level = 1;
for (const e of document.querySelectorAll('h1, h2, h3, h4')) { const next = Number(e.tagName[1]); if (next > level + 1) found.push(`skips to ${e.tagName}`); level = next; }
if (document.querySelectorAll('main').length !== 1) found.push('not one main');
if (document.documentElement.lang !== 'en') found.push('no language');
if (!document.title) found.push('no title');
if (document.querySelector('[tabindex]:not([tabindex="0"]):not([tabindex="-1"])')) found.push('an order of its own');
const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
if (new Set(ids).size !== ids.length) found.push('an id twice');
if (document.querySelector('script, [onclick], iframe')) found.push('a script or frame');
return found;
"""


class Browser:
    """A browser with a profile of its own, which nobody is let into anything with."""

    def __init__(self, pictures: Path | None) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
                         "--disable-background-networking", f"--window-size={WIDE[0]},{WIDE[1]}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
        self.pictures = pictures
        self.folder = Path(tempfile.mkdtemp(prefix="apus-pages.")) / "files"

    def look(self, dark: bool, size: tuple[int, int]) -> None:
        """Light or dark, on a screen of a size."""
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == NARROW})

    def check(self, name: str) -> None:
        """What every page is held to, in all ways in which it is looked at; makes the pictures."""
        equal(self.driver.execute_script(STRUCTURE), [], f"{name}: structure")
        true("HTML(" not in self.text and "</" not in self.text, f"{name}: markup is shown as text: {self.text}")
        for dark in (False, True):
            for size in (WIDE, NARROW):
                self.look(dark, size)
                width = self.driver.execute_script("return document.documentElement.scrollWidth")
                true(width <= size[0], f"{name}: {width} pixels wide on a screen of {size[0]}")
                equal(self.driver.execute_script(CONTRASTS), [], f"{name}, {'dark' if dark else 'light'}: contrasts")
                if self.pictures:
                    height = self.driver.execute_script("return document.documentElement.scrollHeight")
                    self.look(dark, (size[0], max(size[1], min(height, 4000))))
                    look = f"{'dark' if dark else 'light'}-{'narrow' if size == NARROW else 'wide'}"
                    self.driver.save_screenshot(str(self.pictures / f"{name}-{look}.png"))
        self.look(False, WIDE)
        self.tab_through(name)
        logged = [line["message"] for line in self.driver.get_log("browser") if "favicon" not in line["message"]]
        equal([line for line in logged if "Content Security Policy" in line], [], f"{name}: what the policy had to stop")

    def tab_through(self, name: str) -> None:
        """The keyboard reaches every control, in the order in which they stand, and it is seen where it is."""
        controls = "a[href], button, input:not([type=hidden])"
        self.driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
        count = len(self.driver.find_elements(By.CSS_SELECTOR, controls))
        reached: list[int] = []
        for _ in range(count * 8):  # a date has several places
            self.driver.switch_to.active_element.send_keys(Keys.TAB)
            place, seen = self.driver.execute_script(
                f"const e = document.activeElement; return [[...document.querySelectorAll('{controls}')].indexOf(e),"
                " getComputedStyle(e).outlineStyle !== 'none']")
            if place < 0:
                break
            true(seen, f"{name}: the focus is seen on control {place}")
            if not reached or reached[-1] != place:
                reached.append(place)
            if len(reached) == count:
                break
        equal(reached, list(range(count)), f"{name}: the order of the keyboard")

    def open(self, url: str) -> None:
        self.driver.get(url)

    def follow(self, text: str) -> None:
        self.go(self.driver.find_element(By.LINK_TEXT, text))

    def press(self, text: str, within: str = "//") -> None:
        self.go(self.driver.find_element(By.XPATH, f"{within}button[normalize-space()='{text}']"))

    def go(self, control: Any) -> None:
        """Uses a control, and waits for the page that follows."""
        self.driver.execute_script("window.isLeft = true")
        control.click()
        # Between two pages the driver may find neither.
        WebDriverWait(self.driver, PATIENCE_SECONDS, ignored_exceptions=[WebDriverException]).until(
            lambda driver: driver.execute_script("return !window.isLeft && document.readyState === 'complete'"))

    def download(self, text: str, end: str) -> Path:
        """Presses a button that leads to a file, and waits until that is there."""
        self.folder.mkdir()
        self.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(self.folder)})
        self.driver.find_element(By.XPATH, f"//button[normalize-space()='{text}']").click()
        # Until all of it is there, the browser may have a file of its own beside it.
        WebDriverWait(self.driver, PATIENCE_SECONDS).until(
            lambda _: [file.name.endswith(end) for file in self.folder.iterdir()] == [True])
        (file,) = self.folder.iterdir()
        self.folder = self.folder.with_name(self.folder.name + "-next")
        return file

    def finished(self) -> str:
        """What the page of a job says once it has ended; until then it loads itself again and again."""
        WebDriverWait(self.driver, PATIENCE_SECONDS, ignored_exceptions=[WebDriverException]).until(
            lambda driver: "Ended" in self.text and not driver.find_elements(By.TAG_NAME, "progress"))
        return self.text

    def fill(self, label: str, text: str) -> None:
        """Writes into the field with this label, or one that begins so."""
        labels = self.driver.find_elements(By.XPATH, f"//label[normalize-space() = '{label}']")
        labels += self.driver.find_elements(By.XPATH, f"//label[starts-with(normalize-space(), '{label}')]")
        field = self.driver.find_element(By.ID, labels[0].get_attribute("for"))
        field.clear()
        field.send_keys(text)

    @property
    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text

    @property
    def status(self) -> str:
        return self.driver.find_element(By.CSS_SELECTOR, "[role=status]").text

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: Any) -> None:
        self.driver.quit()
        shutil.rmtree(self.folder.parent)


def dashboard(server: Server, person: Person) -> str:
    """What the button of an app opens, asked for as an app asks. The official Python client has no call for it, and tells nobody its token:
    so it comes from the tables, the newest one of the user."""
    (token,), = query(server, "SELECT key FROM token_auth_authtoken WHERE user_id = "
                              f"(SELECT id FROM myauth_user WHERE username = '{person.name}') ORDER BY id DESC LIMIT 1")
    answer = server.send("POST", "/api/v1/authentication/dashboard_url/", [
        ("Authorization", f"Token {token}"), ("Accept", support.MSGPACK)])
    return support.expected(answer, 200).value["url"]


def enter(server: Server, browser: Browser, person: Person) -> None:
    """Presses the button in the app, and then the one on the page."""
    browser.open(dashboard(server, person))
    browser.check("account-door")
    browser.press("Open my account")


def confirm(browser: Browser, name: str, button: str, words: str) -> None:
    """Types a name to be sure, and is told what came of it."""
    browser.fill("To be sure", name)
    browser.press(button)
    true(words in browser.text, browser.text)


def admin(server: Server, browser: Browser) -> None:
    """Goes in by a link of the command line."""
    said = server.apus("admin", "link", "--url", f"http://{server.authority}")
    equal(said.returncode, 0, said.stderr)
    browser.open(said.stdout.strip())
    browser.check("admin-door")
    browser.press("Go in")


@contextlib.contextmanager
def served(arguments: argparse.Namespace) -> Iterator[tuple[Server, harness.Server, Browser]]:
    with Server(arguments.apus, "--signup", "open") as server, Browser(arguments.screenshots) as browser:
        yield server, harness.Server(f"http://{server.authority}", arguments.apus), browser


def living(person: Person) -> dict[str, bytes]:
    """The items of all collections that an app shows."""
    found: dict[str, bytes] = {}
    for collection in person.collections.list(TYPE, FetchOptions()).data:
        if not collection.deleted:
            items = person.collections.get_item_manager(collection).list(FetchOptions()).data
            found |= {item.meta["name"]: item.content for item in items if not item.deleted}
    return found


def given(person: Person, *names: str) -> tuple[Any, list[Any]]:
    """A collection with an item for each name."""
    collection = person.collections.create(TYPE, {"name": "Notes"}, b"about")
    person.collections.upload(collection)
    manager = person.collections.get_item_manager(collection)
    items = [manager.create({"name": name}, name.encode()) for name in names]
    manager.batch(items)
    return collection, items


@test("the dashboard button leads to undo: what an app has deleted, it sees again")
def undo(arguments: argparse.Namespace) -> None:
    with served(arguments) as (server, known, browser):
        person = known.person()
        collection, (one, two) = given(person, "one", "two")
        one.delete()
        person.collections.get_item_manager(collection).batch([one])
        equal(set(living(person)), {"two"}, "after the deletion")
        enter(server, browser, person)
        browser.check("account-overview")
        browser.follow("Collections")
        browser.check("account-collections")
        browser.follow(collection.uid)
        browser.check("account-collection")
        browser.press("Bring back")
        true("It is back." in browser.status, browser.status)
        equal(set(living(person)), {"one", "two"}, "after the item came back")
        collection = person.collections.fetch(collection.uid)
        collection.delete()
        person.collections.upload(collection)
        equal(living(person), {}, "after the collection was deleted")
        browser.follow("Collections")
        true("deleted" in browser.text, "the collection is marked")
        browser.follow(collection.uid)
        browser.check("account-collection-deleted")
        browser.press("Bring back the collection")
        equal(living(person), {"one": b"one", "two": b"two"}, "after the collection came back")
        browser.follow("Activity")
        true("Collection brought back by you" in browser.text, browser.text)
        browser.check("account-activity")


@test("a device that is signed out on the page gets nothing any more, and the one that asked for the page goes on")
def sign_out(arguments: argparse.Namespace) -> None:
    with served(arguments) as (server, known, browser):
        person = known.person()
        given(person, "one")
        lost = person
        person = known.another_session(lost)
        enter(server, browser, person)
        this = browser.driver.find_element(By.XPATH, "//li[.//span[@class='mark']]")
        other = browser.driver.find_element(By.XPATH, "//li[not(.//span[@class='mark']) and .//button[contains(., 'Sign out')]]")
        true(this.text != other.text, "two devices")
        equal(set(living(lost)), {"one"}, "before")
        browser.go(other.find_element(By.TAG_NAME, "button"))
        true("signed out" in browser.status, browser.status)
        refused(lambda: living(lost), "401|Unauthorized|token")
        equal(set(living(person)), {"one"}, "the one that asked")
        browser.press("Leave")
        true("You have left" in browser.text, browser.text)
        browser.check("account-left")
        browser.driver.back()
        browser.driver.refresh()
        browser.open(f"http://{server.authority}/account/")
        true("Open this page from your app" in browser.text, browser.text)
        browser.check("account-closed")


@test("an account is deleted by who types its name")
def delete(arguments: argparse.Namespace) -> None:
    with served(arguments) as (server, known, browser):
        person = known.person()
        given(person, "one")
        enter(server, browser, person)
        browser.follow("Delete")
        browser.check("account-delete")
        confirm(browser, "somebody", "Delete my account for good", "Nothing was deleted")
        browser.check("account-delete-fault")
        confirm(browser, person.name, "Delete my account for good", "Your account is deleted")
        refused(lambda: living(person), "401|Unauthorized|token")
        equal(server.apus("verify").returncode, 0, "the log and its tables")
        equal(server.apus("log", "verify").returncode, 0, "the log's seals")


@test("an admin makes an account, with which the official client signs up; invites somebody; and sees what happened")
def admins(arguments: argparse.Namespace) -> None:
    with served(arguments) as (server, known, browser):
        admin(server, browser)
        browser.check("admin-overview")
        browser.follow("Users")
        browser.fill("Name", "ada")
        browser.fill("Email address", "ada@example.com")
        browser.press("Make the account")
        true("The account is made" in browser.status, browser.status)
        ada = known.person("ada")
        collection, (one,) = given(ada, "one")
        browser.follow("Users")
        browser.press("Make a link")
        link = browser.driver.find_element(By.CSS_SELECTOR, "[role=status] code").text
        browser.check("admin-users")
        browser.open(link)
        browser.check("join")
        browser.fill("Name", "ben")
        browser.press("Make my account")
        known.person("ben")
        browser.open(f"http://{server.authority}/admin/users/")
        browser.follow("ada")
        browser.check("admin-user")
        browser.follow("Set the quota")
        browser.check("admin-quota")
        browser.fill("Items", "1")
        browser.press("Set the quota")
        true("The quota is set" in browser.status, browser.status)
        refused(lambda: given(ada, "two", "three"), "quota")
        browser.follow("Set the quota")
        browser.press("Let hold what holds for all")
        true("as for all who have none of their own" in browser.text, browser.text)
        browser.follow("Disable")
        browser.check("admin-disable")
        browser.press("Disable")
        true("kept out" in browser.status, browser.status)
        refused(lambda: living(ada), "401|Unauthorized|inactive")
        browser.follow("Enable")
        browser.press("Enable")
        equal(set(living(ada)), {"one"}, "after the account was enabled")
        one.delete()
        ada.collections.get_item_manager(collection).batch([one])
        browser.follow("Collections")
        browser.check("admin-collections")
        browser.follow(collection.uid)
        browser.check("admin-collection")
        browser.press("Bring back")
        equal(set(living(ada)), {"one"}, "after the item came back")
        browser.follow("Activity")
        browser.check("admin-activity")
        browser.follow("Settings")
        browser.check("admin-settings")
        browser.follow("Diagnostics")
        browser.press("Look now")
        true("What was found" in browser.text, browser.text)
        browser.check("admin-diagnostics")
        browser.follow("Users")
        browser.follow("ada")
        browser.follow("Erase")
        browser.check("admin-erase")
        confirm(browser, "bob", "Erase", "That is not the name")
        confirm(browser, "ada", "Erase", "Erase an account")
        true("The account is erased" in browser.finished(), browser.text)
        browser.check("admin-job-erase")
        refused(lambda: living(ada), "401|Unauthorized|token")
        said = server.apus("admin", "end")
        equal(said.returncode, 0, said.stderr)
        browser.driver.refresh()
        true("You are not let in" in browser.text, browser.text)
        browser.check("admin-closed")


@test("an admin has the tables verified and rebuilt, which goes on when the page is closed")
def work(arguments: argparse.Namespace) -> None:
    with served(arguments) as (server, known, browser):
        person = known.person()
        given(person, "one", "two")
        admin(server, browser)
        browser.follow("Log")
        browser.check("admin-log-new")
        browser.press("Verify the log")
        true("The log is sound" in browser.finished(), browser.text)
        meddle(server, f"UPDATE myauth_user SET email = 'wrong@example.com' WHERE username = '{person.name}'")
        browser.follow("Log")
        browser.press("Verify the tables")
        # The page is closed, and the work goes on.
        place = browser.driver.current_url
        browser.open("about:blank")
        browser.open(place)
        true("myauth_user differs from the log" in browser.finished(), browser.text)
        browser.check("admin-job-faulty")
        equal(server.apus("verify").returncode, 1, "apus verify")
        browser.follow("Go back")
        browser.press("Rebuild the tables")
        true("1 rows were written" in browser.finished(), browser.text)
        browser.check("admin-job-done")
        equal(server.apus("verify").returncode, 0, "apus verify")
        meddle(server, "UPDATE apus_job SET ended_at = NULL, state = 'working', expires_at = ordered_at + 600000000, reached = 7, whole = 12 "
                       "WHERE kind = 'rebuild'")
        browser.driver.refresh()
        true("7 of 12" in browser.text, browser.text)
        browser.press("Stop it")
        true("stopping" in browser.text, browser.text)
        meddle(server, "UPDATE apus_job SET expires_at = 1 WHERE kind = 'rebuild'")
        browser.open(f"http://{server.authority}/admin/log/")
        true("ended with its process" in browser.text, browser.text)
        browser.check("admin-log")


@test("a backup that is made and downloaded on the page is a server again; on PostgreSQL the page says what to use")
def backups(arguments: argparse.Namespace) -> None:
    with served(arguments) as (server, known, browser):
        person = known.person()
        given(person, "one", "two")
        admin(server, browser)
        browser.follow("Backups")
        if arguments.postgres:
            true("apus backup FILE" in browser.text and "Make a backup" not in browser.text, browser.text)
            browser.check("admin-backups-elsewhere")
            return
        browser.check("admin-backups-none")
        browser.press("Make a backup")
        true("The backup has everything" in browser.finished(), browser.text)
        browser.check("admin-job-backup")
        browser.follow("Go back")
        browser.press("Verify the backup")
        true("can be restored" in browser.finished(), browser.text)
        browser.follow("Go back")
        browser.check("admin-backups")
        restored = Server(arguments.apus)
        said = restored.apus("restore", str(browser.download("Download it", ".backup")))
        equal(said.returncode, 0, said.stderr)
        with restored:
            again = harness.Server(f"http://{restored.authority}", arguments.apus)
            equal(living(again.another_session(person)), {"one": b"one", "two": b"two"}, "what the restored server has")


@test("what is stored of a user is downloaded as one file, by the user and by an admin")
def exports(arguments: argparse.Namespace) -> None:
    with served(arguments) as (server, known, browser):
        person = known.person()
        collection, _ = given(person, "one")
        enter(server, browser, person)
        own = exported(browser.download("Download what is stored of me", ".tar"))
        true(collection.uid in own["collections.jsonl"] and person.name in own["account.jsonl"], own["account.jsonl"])
        admin(server, browser)
        browser.follow("Users")
        browser.follow(person.name)
        browser.follow("Export")
        browser.check("admin-export")
        equal(exported(browser.download("Export", ".tar"))["items.jsonl"], own["items.jsonl"], "the items of both")


def exported(archive: Path) -> dict[str, str]:
    """The files of lines in an export."""
    with tarfile.open(archive) as opened:
        files = [member for member in opened.getmembers() if member.name.endswith(".jsonl")]
        return {Path(member.name).name: opened.extractfile(member).read().decode() for member in files}  # type: ignore[union-attr]


def options(parser: argparse.ArgumentParser) -> None:
    support.on_either_engine(parser)
    parser.add_argument("--screenshots", type=Path, help="where to put pictures of the pages")


if __name__ == "__main__":
    support.main(__doc__, options)
