"""Those who use the installation while it is tried, each in a thread: writers, readers, subscribers, members who come and go.

They know nothing but what they are answered. What they did and saw becomes a history, which Tests/Histories judges.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import connect
from world import Front

import support
from support import Answer, Client, expected, offered, uid, unpack

NO_ANSWER = (OSError, http.client.HTTPException)
# What a proxy or a server says that cannot do it now. Whether it was carried out is then unknown.
AWAY = (502, 503, 504)
HOT = 3  # items of each collection that all of its writers revise
SILENCE_SECONDS = 4.0  # after which a subscriber asks whether anybody is there
CHOICES_OF_A_PAUSE = (0.02, 0.05, 0.1, 0.2)

Record = dict[str, Any]


class NoAnswer(Exception):
    """Nobody knows."""


class Complaint(Exception):
    """An answer that must never come."""


class Lost(Exception):
    """The server says that the stoken is of a history that is lost."""


class Tally:
    """What all of them together were answered, and when."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.writes: list[float] = []   # when each was acknowledged
        self.reads: list[float] = []
        self.frames: list[float] = []
        self.unanswered: list[tuple[float, str]] = []
        self.statuses: dict[str, int] = {}

    def answered(self, what: str, status: Any) -> None:
        with self.lock:
            key = f"{what} {status}"
            self.statuses[key] = self.statuses.get(key, 0) + 1
            now = time.monotonic()
            if what == "write" and status == 200:
                self.writes.append(now)
            elif what == "read" and status == 200:
                self.reads.append(now)
            elif status not in (200, 201, 204, 404, 409):
                self.unanswered.append((now, key))


class Session(Client):
    """A user's session over the proxy, on a connection of its own."""

    def __init__(self, front: Front, name: str, token: str | None = None, tally: Tally | None = None) -> None:
        super().__init__(front, name, token)
        self.tally = tally or Tally()

    def another(self) -> Session:
        return Session(self.server, self.name, self.token, self.tally)

    def ask(self, what: str, call: Callable[[], Answer], *statuses: int) -> Answer:
        """An answer that is one of `statuses`. Raises `NoAnswer` where there was none, `Lost`, or `Complaint`."""
        try:
            answer = call()
        except NO_ANSWER as error:
            self.tally.answered(what, type(error).__name__)
            raise NoAnswer from error
        # A proxy says in a page of its own that it has nobody to ask.
        self.tally.answered(what, f"{answer.status} by the proxy" if answer.media_type == "text/html" else answer.status)
        if answer.status in statuses:
            return answer
        if answer.status in AWAY:
            # The proxy's own are no form of the protocol.
            if answer.status == 503 and answer.media_type != "text/html" and support.fault_in_form(answer):
                raise Complaint(f"the form of a 503: {answer}")
            raise NoAnswer
        if (answer.status, answer.code) == (400, "bad_stoken"):
            raise Lost
        raise Complaint(f"{what}: {answer}")

    def insist(self, what: str, call: Callable[[], Answer], *statuses: int, seconds: float = 120) -> Answer:
        """Asks until there is an answer."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.ask(what, call, *statuses)
            except NoAnswer:
                if time.monotonic() > end:
                    raise Complaint(f"{what}: no answer in {seconds} s") from None
                time.sleep(0.2)


def signed_up(front: Front, name: str, tally: Tally) -> Session:
    """Somebody new. An account that was made without an answer is logged into."""
    session = Session(front, name, tally=tally)
    answer = session.insist("account", session.sign_up, 200, 409)
    if answer.status == 409:
        session.insist("account", session.log_in, 200)
    return session


# --- a round's people -----------------------------------------------------------------------------


class Person(threading.Thread):
    """Does the same again and again until told to stop, whatever is answered."""

    def __init__(self, name: str, seed: Any) -> None:
        super().__init__(name=name, daemon=True)
        self.random = random.Random(f"{seed} {name}")
        self.complaints: list[str] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            try:
                self.step()
            except NoAnswer:
                self.over.wait(0.15)
            except Exception as error:  # nobody knows what else may come: it is told
                self.complaints.append(f"{self.name}: {type(error).__name__}: {error}")
                return

    def step(self) -> None:
        raise NotImplementedError


class Writer(Person):
    """Commits batches and transactions, to items of its own and to some that others revise too."""

    def __init__(self, name: str, seed: Any, session: Session, collection: str) -> None:
        super().__init__(name, seed)
        self.session, self.collection = session.another(), collection
        self.etags: dict[str, str] = {}
        self.records: list[Record] = []
        self.count = 0

    def step(self) -> None:
        self.count += 1
        names = [uid("item", self.collection, self.name, self.count, index) for index in range(self.random.randint(0, 3))]
        names += self.random.sample(sorted(self.etags), min(len(self.etags), self.random.randint(0, 2)))
        is_transaction = bool(names) and self.random.random() < 0.5
        if not is_transaction and (not names or self.random.random() < 0.5):
            names.append(uid("hot", self.collection, self.random.randrange(HOT)))
        items = []
        for name in names:
            revision = uid("revision", self.collection, self.name, self.count, name)
            chunks = [(uid("chunk", revision), self.random.randbytes(300))] if self.random.random() < 0.3 else []
            items.append(offered(name, revision, b"meta", chunks, self.etags.get(name)))
        record = write(self.name, self.collection, items, is_transaction)
        self.records.append(record)
        own = [name for name in names if name not in hot(self.collection)]
        try:
            answer = self.session.ask(
                "write", lambda: self.session.commit(self.collection, items, transaction=is_transaction), 200, 409)
        except NoAnswer:
            for name in own:
                self.etags.pop(name, None)  # which revision it has is not known any more
            raise
        record["end"] = time.monotonic()
        record["outcome"] = "done" if answer.status == 200 else "refused"
        for item in items:
            if item["uid"] in own:
                if answer.status == 200:
                    self.etags[item["uid"]] = item["content"]["uid"]
                else:
                    self.etags.pop(item["uid"], None)
        self.over.wait(self.random.choice(CHOICES_OF_A_PAUSE))


def write(session: str, collection: str, items: list[dict], asks: bool) -> Record:
    return {"kind": "write", "session": session, "collection": collection,
            "items": [[item["uid"], item["content"]["uid"], item["etag"] if asks else None] for item in items],
            "outcome": "unknown", "begin": time.monotonic(), "end": float("inf")}


def hot(collection: str) -> list[str]:
    return [uid("hot", collection, index) for index in range(HOT)]


class Reading(Person):
    """What readers and subscribers have in common: where they are, and when they begin anew."""

    def __init__(self, name: str, seed: Any, session: Session, collection: str) -> None:
        super().__init__(name, seed)
        self.session, self.collection = session.another(), collection
        self.records: list[Record] = []
        self.lost: list[tuple[str, float]] = []  # stokens that the server called lost, and when
        self.lives = 0
        self.known: dict[str, str] = {}
        self.begin_anew()

    def begin_anew(self) -> None:
        self.lives += 1
        self.stoken: str | None = None
        self.known = {}

    def forget(self) -> None:
        """The server has said that the stoken is of a lost history."""
        if self.stoken:
            self.lost.append((self.stoken, time.monotonic()))
        self.begin_anew()

    def note(self, kind: str, page: dict, begin: float) -> bool:
        """Notes what was told, and answers whether there was anything."""
        told = [[item["uid"], item["content"]["uid"]] for item in page["data"]]
        since = self.stoken
        if told or kind == "frame":
            self.stoken = page["stoken"]
        self.known.update(dict(told))
        record = {"kind": kind, "reader": f"{self.name}#{self.lives}", "user": self.session.name, "collection": self.collection,
                  "told": told, "stoken": self.stoken, "begin": begin, "end": time.monotonic()}
        self.records.append(record | ({"since": since, "last": page["done"]} if kind == "page" else {}))
        return bool(told)


class Reader(Reading):
    """Follows a collection by stokens. One that may be put out begins anew when it is let in again."""

    def step(self) -> None:
        if not self.follow():
            self.over.wait(self.random.choice((0.1, 0.3)))

    def follow(self) -> bool:
        """Takes a page; answers whether more may follow."""
        query = {"limit": 30, "prefetch": "medium", "withCollection": "true", **({"stoken": self.stoken} if self.stoken else {})}
        begin = time.monotonic()
        try:
            answer = self.session.ask("read", lambda: self.session.get(f"/api/v1/collection/{self.collection}/item/", **query), 200, 404)
        except Lost:
            self.forget()
            return True
        if answer.status == 404:
            if self.stoken:
                self.begin_anew()
            return False
        page = answer.value
        self.note("page", page, begin)
        return not page["done"]

    def to_the_end(self, seconds: float) -> None:
        """Takes all that is left."""
        end = time.monotonic() + seconds
        while True:
            try:
                if not self.follow():
                    return
            except NoAnswer:
                if time.monotonic() > end:
                    raise Complaint(f"{self.name} gets no answer in the end") from None
                time.sleep(0.2)


class Subscriber(Reading):
    """Listens on a socket, and opens another one where it has left off whenever that breaks."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.socket: Any = None
        self.opened: list[float] = []
        self.broken: list[float] = []

    def step(self) -> None:
        if self.socket is None:
            self.open()
        try:
            frame = unpack(self.socket.recv(timeout=SILENCE_SECONDS))
        except TimeoutError:
            return self.probe()
        except (ConnectionClosed, OSError):
            return self.drop()
        now = time.monotonic()
        self.note("frame", frame, now)
        self.session.tally.frames.append(now)

    def open(self) -> None:
        path = f"/api/v1/collection/{self.collection}/item/subscription-ticket/"
        # While there was a socket nothing was asked, perhaps for longer than a connection is kept.
        self.session.close()
        answer = self.session.ask("ticket", lambda: self.session.post(path, {}), 200, 404)
        if answer.status == 404:
            if self.stoken:
                self.begin_anew()
            raise NoAnswer
        query = f"?stoken={self.stoken}" if self.stoken else ""
        try:
            self.socket = connect(
                f"ws://{self.session.server.authority}/api/v1/ws/{answer.value['ticket']}/{query}", max_size=None, open_timeout=8,
                close_timeout=1, compression=None)
            self.opened.append(time.monotonic())
        except InvalidStatus as refused:
            if refused.response.status_code == 400 and self.stoken:
                self.ask_whether_lost()
            raise NoAnswer from refused
        except (OSError, EOFError, WebSocketException) as error:
            raise NoAnswer from error

    def ask_whether_lost(self) -> None:
        with contextlib.suppress(NoAnswer):
            try:
                self.session.ask("read", lambda: self.session.get(
                    f"/api/v1/collection/{self.collection}/item/", limit=1, stoken=self.stoken), 200, 404)
            except Lost:
                self.forget()

    def probe(self) -> None:
        """Nothing has come for a while: is anybody there?"""
        try:
            if not self.socket.ping().wait(SILENCE_SECONDS):
                self.drop()
        except (ConnectionClosed, OSError, RuntimeError):
            self.drop()

    def drop(self) -> None:
        self.broken.append(time.monotonic())
        socket, self.socket = self.socket, None
        if socket is not None:
            with contextlib.suppress(Exception):
                socket.close()

    def close(self) -> None:
        if self.socket is not None:
            self.drop()


class Host(Person):
    """Lets a guest in and puts it out again, and knows when that was acknowledged."""

    def __init__(self, name: str, seed: Any, owner: Session, guest: Session, collection: str) -> None:
        super().__init__(name, seed)
        self.owner, self.guest, self.collection = owner.another(), guest.another(), collection
        self.records: list[Record] = []
        self.count = 0
        self.lost = 0  # how often somebody was a member again who had been put out

    def step(self) -> None:
        self.let_in()
        self.over.wait(self.random.uniform(1, 4))
        self.put_out()
        self.over.wait(self.random.uniform(0.3, 2))

    def let_in(self) -> None:
        self.count += 1
        record = {"kind": "access", "user": self.guest.name, "collection": self.collection, "allowed": True,
                  "begin": time.monotonic(), "end": float("inf")}
        self.records.append(record)
        if not share(self.owner, self.guest, self.collection, self.count):
            self.lost_the_last()
        record["end"] = time.monotonic()

    def lost_the_last(self) -> None:
        """Whoever was put out is a member still: the end of the log is lost, and that it was acknowledged says nothing any more."""
        for record in reversed(self.records):
            if not record["allowed"]:
                record["end"] = float("inf")
                self.lost += 1
                return

    def look(self) -> None:
        """In the end: is whoever was put out last a member still?"""
        members = self.owner.insist("member", lambda: self.owner.get(f"/api/v1/collection/{self.collection}/member/"), 200).value["data"]
        is_out = bool(self.records) and not self.records[-1]["allowed"] and self.records[-1]["end"] < float("inf")
        if is_out and any(member["username"] == self.guest.name for member in members):
            self.lost_the_last()

    def put_out(self) -> None:
        record = {"kind": "access", "user": self.guest.name, "collection": self.collection, "allowed": False,
                  "begin": time.monotonic(), "end": float("inf")}
        self.records.append(record)
        path = f"/api/v1/collection/{self.collection}/member/{self.guest.name}/"
        self.owner.insist("member", lambda: self.owner.call("DELETE", path), 204, 404)  # 404: it was carried out before
        record["end"] = time.monotonic()


def share(owner: Session, guest: Session, collection: str, number: int) -> bool:
    """Makes somebody a member who may write, however often that has to be asked. Answers false where it was one already."""
    invitation = uid("invitation", collection, guest.name, number)
    offer = {"uid": invitation, "version": 1, "username": guest.name, "collection": collection, "accessLevel": 2,
             "signedEncryptionKey": b"signed key"}
    # Carried out before, but without an answer, it exists.
    answer = owner.insist("member", lambda: owner.post("/api/v1/invitation/outgoing/", offer), 201, 400, 409)
    if answer.status == 400 and answer.code != "invitation_exists":
        raise Complaint(f"member: {answer}")
    acceptance = {"collectionType": b"type of " + guest.name.encode(), "encryptionKey": b"key"}
    # Accepted before, but without an answer, there is none any more.
    answer = guest.insist("member", lambda: guest.post(f"/api/v1/invitation/incoming/{invitation}/accept/", acceptance), 201, 404, 409)
    if answer.status == 409 and answer.code != "already_member":
        raise Complaint(f"member: {answer}")
    return answer.status != 409


# --- a round --------------------------------------------------------------------------------------


class Round:
    """Collections of their own, and all who work with them for a while. Short, so that its history can be judged."""

    def __init__(self, number: int, seed: Any, people: "People", writers: int, readers: int, subscribers: int) -> None:
        self.collections: list[str] = []
        self.records: list[Record] = []
        self.owners: dict[str, Session] = {}
        self.persons: list[Person] = []
        seed = f"{seed} {number}"
        for place, (owner, mate, guest) in enumerate(people.groups):
            collection = uid("collection", seed, place)
            self.collections.append(collection)
            self.owners[collection] = owner
            self._found(owner, collection)
            share(owner, mate, collection, 0)
            name = f"{number}.{place}"
            share_of = lambda count: range(place, count, len(people.groups))  # noqa: E731
            self.persons += [Writer(f"writer {name}.{each}", seed, (owner, mate)[at % 2], collection) for at, each in enumerate(share_of(writers))]
            self.persons += [Reader(f"reader {name}.{each}", seed, (mate, owner)[at % 2], collection) for at, each in enumerate(share_of(readers))]
            self.persons += [Subscriber(f"subscriber {name}.{each}", seed, (owner, mate)[at % 2], collection)
                             for at, each in enumerate(share_of(subscribers))]
            self.persons += [Host(f"host {name}", seed, owner, guest, collection), Reader(f"guest {name} reads", seed, guest, collection),
                             Subscriber(f"guest {name} listens", seed, guest, collection)]
        self.guests = {guest.name for _, _, guest in people.groups}

    def _found(self, owner: Session, collection: str) -> None:
        first = [offered(collection, uid(collection, "first"), b"meta")]
        record = write("", collection, first, False)
        owner.insist("found", lambda: owner.create_collection(collection), 201, 409)
        self.records.append(record | {"outcome": "done", "end": time.monotonic()})
        items = [offered(item, uid("first", item), b"meta") for item in hot(collection)]
        record = write("", collection, items, False)
        owner.insist("found", lambda: owner.commit(collection, items), 200)
        self.records.append(record | {"outcome": "done", "end": time.monotonic()})

    def start(self) -> None:
        for person in self.persons:
            person.start()

    def of(self, kind: type) -> list[Any]:
        return [person for person in self.persons if isinstance(person, kind)]

    def stop(self, kind: type, seconds: float = 60) -> list[str]:
        persons = self.of(kind)
        for person in persons:
            person.over.set()
        end = time.monotonic() + seconds
        for person in persons:
            person.join(max(0.1, end - time.monotonic()))
        return [f"{person.name} waits for an answer that never comes" for person in persons if person.is_alive()]

    def finish(self, is_over: Callable[[], None]) -> list[str]:
        """Ends it, once all is whole again: everybody learns the rest. Answers what is wrong.

        `is_over` waits until what nobody waits for any more has been carried out, or never will be.
        """
        found = self.stop(Writer) + self.stop(Host, 180)
        is_over()
        for host in self.of(Host):
            host.look()
        found += self.stop(Reader)
        for reader in self.of(Reader):
            with contextlib.suppress(Exception):
                reader.session.close()
            try:
                reader.to_the_end(60)
            except Exception as error:
                found.append(f"{reader.name}: {error}")
        final: dict[str, dict[str, str]] = {}
        with ThreadPoolExecutor(len(self.owners)) as pool:
            for collection, (known, records) in zip(self.owners, pool.map(self._end, self.owners)):
                final[collection] = known
                self.records += records
        found += self._all_told(final)
        found += self.stop(Subscriber)
        for person in self.persons:
            if isinstance(person, Subscriber):
                person.close()
            if isinstance(person, (Reading, Writer)):
                person.session.close()
            found += person.complaints
        return found

    def _end(self, collection: str) -> tuple[dict[str, str], list[Record]]:
        """What there is in the end: of each item of a collection its revision, and all that there have been."""
        session = self.owners[collection].another()
        reader = Reader("the end", "", session, collection)
        reader.to_the_end(60)
        records = [{"kind": "revisions", "collection": collection, "item": item,
                    "told": [revision["uid"] for revision in reversed(self._revisions(reader.session, collection, item))]} for item in reader.known]
        reader.session.close()
        return reader.known, records

    def _revisions(self, session: Session, collection: str, item: str) -> list[dict]:
        revisions: list[dict] = []
        iterator = None
        while True:
            query = {"limit": 200, **({"iterator": iterator} if iterator else {})}
            page = session.insist("revisions", lambda: session.get(
                f"/api/v1/collection/{collection}/item/{item}/revision/", **query), 200).value
            revisions += page["data"]
            if page["done"]:
                return revisions
            iterator = page["iterator"]

    def _all_told(self, final: dict[str, dict[str, str]], seconds: float = 45) -> list[str]:
        """Waits until each subscriber knows all that there is; those who do are taken for readers who have read to the end."""
        end = time.monotonic() + seconds
        waiting = [person for person in self.of(Subscriber) if person.session.name not in self.guests]
        while waiting and time.monotonic() < end:
            waiting = [person for person in waiting if person.known != final[person.collection]]
            time.sleep(0.1)
        return [f"{person.name} has not been told all in the end: {_difference(person.known, final[person.collection])}" for person in waiting]

    def history(self) -> list[Record]:
        records = list(self.records)
        for person in self.persons:
            records += getattr(person, "records", [])
        # A frame may have lain on its way: it is not older than the newest write of which it tells.
        begun = {revision: record["begin"] for record in records if record["kind"] == "write" for _, revision, _ in record["items"]}
        return [record | {"begin": max((begun.get(revision, 0) for _, revision in record["told"]), default=0)} if record["kind"] == "frame"
                else record for record in records]


def _difference(known: dict[str, str], final: dict[str, str]) -> str:
    missing = [item for item in final if known.get(item) != final[item]]
    return f"{len(missing)} of {len(final)} items are missing or old, {len(set(known) - set(final))} are there no more"


class People:
    """The accounts, which last for the whole time: owner, mate and guest of each group."""

    def __init__(self, front: Front, groups: int = 4) -> None:
        self.tally = Tally()
        self.groups = [tuple(signed_up(front, f"{role}{number}", self.tally) for role in ("owner", "mate", "guest")) for number in range(groups)]
        # What a client does that comes from outside and knows nobody.
        for group in self.groups:
            for session in group:
                expected(session.get("/api/v1/collection/"), 200)
