import Domain
import NIOCore
import TestSupport
import Testing

@testable import Gateway

@Suite("A collection's listeners") final class FeedStateTests {
    private static let now = ContinuousClock.now

    private var feed = FeedState()

    private func grant(_ user: Int64) -> Grant {
        Grant(collection: "notes", user: UserID(rawValue: user), session: "s\(user)", token: "t\(user)", position: .none)
    }

    private func frame(upTo position: Int64) -> FeedState.Frame {
        .init(message: Message(ByteBuffer(string: "up to \(position)")), end: Cursor(at: Position(rawValue: position)))
    }

    private func join(_ number: Int, at position: Int64) {
        feed.join(ListenerID(rawValue: number), grant(Int64(number)), at: Position(rawValue: position), in: 1)
    }

    /// Takes the next look and answers it: all are admitted but `dismissed`, and what is there ends at `changed`.
    private func look(
        changed: Int64, frame: FeedState.Frame?, dismissed: Set<ListenerID> = []
    ) throws -> (look: FeedState.Look, sent: [(String, Set<ListenerID>)], dismissed: Set<ListenerID>) {
        let next = feed.nextLook()
        let look = try #require(next)
        let actions = feed.found(
            .init(admitted: Set(look.listeners.keys).subtracting(dismissed), epoch: 1, changed: Position(rawValue: changed), frame: frame),
            by: look, now: Self.now)
        var sent: [(String, Set<ListenerID>)] = []
        var gone: Set<ListenerID> = []
        for action in actions {
            switch action {
            case .send(let message, let ids): sent.append((String(buffer: message.bytes), Set(ids)))
            case .dismiss(let ids), .restart(let ids): gone.formUnion(ids)
            }
        }
        return (look, sent, gone)
    }

    private func isIdle() -> Bool { feed.nextLook() == nil }

    /// The frame that the listener gets when it has taken the last, where one is at hand.
    private func deliver(to id: ListenerID) -> String? {
        guard case .send(let message, _) = feed.delivered(to: id, now: Self.now) else { return nil }
        return String(buffer: message.bytes)
    }

    @Test("all who wait at one position get the same frame, from one look")
    func shared() throws {
        for number in 1...3 { join(number, at: 4) }
        let found = try look(changed: 7, frame: frame(upTo: 7))
        #expect(found.look.after?.position == Position(rawValue: 4))
        #expect(found.sent.map(\.0) == ["up to 7"])
        #expect(found.sent.first?.1.count == 3)
        #expect(isIdle())
    }

    @Test("one whose frame is still on its way is sent nothing more, and gets the rest when it has taken it")
    func busy() throws {
        let slow = ListenerID(rawValue: 1)
        join(1, at: 0)
        _ = try look(changed: 5, frame: frame(upTo: 5))
        feed.note(Position(rawValue: 9))
        let access = try look(changed: 9, frame: nil)
        #expect(access.look.after == nil && access.sent.isEmpty)
        #expect(isIdle())
        #expect(deliver(to: slow) == nil)
        #expect(try look(changed: 9, frame: frame(upTo: 9)).look.after?.position == Position(rawValue: 5))
    }

    @Test("one that is sent a backlog in frames has everything only at the end of the last")
    func base() throws {
        let listener = ListenerID(rawValue: 1)
        join(1, at: 2)
        var next = Cursor(at: Position(rawValue: 5))
        next.base = Position(rawValue: 2)
        _ = try look(changed: 9, frame: .init(message: Message(ByteBuffer()), end: next))
        _ = deliver(to: listener)
        #expect(try look(changed: 9, frame: frame(upTo: 8)).look.after == next)
        _ = deliver(to: listener)
        #expect(try look(changed: 9, frame: nil).look.after == Cursor(at: Position(rawValue: 8)))
        feed.note(Position(rawValue: 12))
        #expect(try look(changed: 12, frame: nil).look.after == Cursor(at: Position(rawValue: 9)))
    }

    @Test("who is not admitted gets nothing of what was found in the same look")
    func dismissed() throws {
        let removed = ListenerID(rawValue: 2)
        join(1, at: 0)
        join(2, at: 0)
        let found = try look(changed: 3, frame: frame(upTo: 3), dismissed: [removed])
        #expect(found.dismissed == [removed])
        #expect(found.sent.allSatisfy { !$0.1.contains(removed) })
        #expect(feed.grants == [grant(1)])
    }

    @Test("a change is looked at by all who listen, those too who have a frame on its way")
    func everybodyIsChecked() throws {
        join(1, at: 0)
        _ = try look(changed: 5, frame: frame(upTo: 5))
        join(2, at: 5)
        _ = try look(changed: 5, frame: nil)
        feed.note(Position(rawValue: 6))
        #expect(try look(changed: 6, frame: frame(upTo: 6)).look.listeners.count == 2)
    }

    @Test("one who comes a little later gets the frame that others got, unless it was not admitted since")
    func comesLater() throws {
        let (first, second) = (ListenerID(rawValue: 1), ListenerID(rawValue: 2))
        join(1, at: 0)
        join(2, at: 0)
        _ = try look(changed: 5, frame: frame(upTo: 5))
        #expect(deliver(to: first) == nil)
        feed.note(Position(rawValue: 6))
        #expect(try look(changed: 6, frame: frame(upTo: 6)).sent.first?.1 == [first])
        #expect(deliver(to: second) == "up to 6")
    }

    @Test("a hint that tells nothing new makes nobody look")
    func knownHint() throws {
        join(1, at: 0)
        _ = try look(changed: 5, frame: frame(upTo: 5))
        _ = feed.delivered(to: ListenerID(rawValue: 1), now: Self.now)
        feed.note(Position(rawValue: 5))
        #expect(isIdle())
    }

    @Test("whoever has come from a future that was lost gets nothing of what took its place, and begins again")
    func lostFuture() throws {
        join(1, at: 19)
        feed.join(ListenerID(rawValue: 2), grant(2), at: Position(rawValue: 19), in: 2)
        let next = feed.nextLook()
        let look = try #require(next)
        let actions = feed.found(
            .init(admitted: Set(look.listeners.keys), epoch: 2, changed: Position(rawValue: 20), frame: frame(upTo: 20)), by: look,
            now: Self.now)
        var (restarted, sent): ([ListenerID], [ListenerID]) = ([], [])
        for action in actions {
            switch action {
            case .restart(let ids): restarted += ids
            case .send(_, let ids): sent += ids
            case .dismiss(let ids): Issue.record("\(ids) may listen")
            }
        }
        #expect(restarted == [ListenerID(rawValue: 1)])
        #expect(sent == [ListenerID(rawValue: 2)])
        #expect(feed.grants == [grant(2)])
    }

    @Test("those who are behind have their turns beside those who are not")
    func fair() throws {
        for number in 1...5 { join(number, at: 100) }
        join(6, at: 0)
        var looked: Set<Position> = []
        for change in Int64(101)...102 {
            feed.note(Position(rawValue: change))
            let found = try look(changed: change, frame: nil)
            if let after = found.look.after?.position { looked.insert(after) }
        }
        #expect(looked.contains(.none))
    }
}
