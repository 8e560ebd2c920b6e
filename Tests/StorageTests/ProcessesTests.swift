import Database
import Domain
import ReadModel
import Testing

@Suite("Processes that serve a log") struct ProcessesTests {
    private static func process(_ name: String, startedAt: Int64, seenAt: Int64, sockets: Int64 = 0) -> ServingProcess {
        ServingProcess(
            name: name, roles: "api", address: nil, version: "1", sockets: sockets, startedAt: Timestamp(rawValue: startedAt),
            seenAt: Timestamp(rawValue: seenAt))
    }

    @Test("are there until they end, or their rows expire", arguments: Engine.all)
    func life(engine: Engine) async throws {
        try await engine.place { place in
            let node = try await place.node()
            let processes = Processes(node.database)
            let alive = { @Sendable (now: Int64) in
                try await node.database.read { try Processes.alive(at: Timestamp(rawValue: now), $0).map { "\($0.name) \($0.sockets)" } }
            }
            try await processes.note(Self.process("b", startedAt: 2, seenAt: 2), until: Timestamp(rawValue: 12))
            try await processes.note(Self.process("a", startedAt: 1, seenAt: 3), until: Timestamp(rawValue: 13))
            #expect(try await alive(3) == ["a 0", "b 0"])
            #expect(try await alive(12) == ["a 0"])
            try await processes.note(Self.process("b", startedAt: 2, seenAt: 4, sockets: 7), until: Timestamp(rawValue: 14))
            #expect(try await alive(13) == ["b 7"])
            // Whoever notes itself forgets those that have expired.
            try await processes.note(Self.process("c", startedAt: 13, seenAt: 13), until: Timestamp(rawValue: 23))
            #expect(try await alive(0) == ["b 7", "c 0"])
            try await processes.remove("b")
            #expect(try await alive(0) == ["c 0"])
        }
    }

    @Test("the newest backup is what was noted last", arguments: Engine.all)
    func backup(engine: Engine) async throws {
        try await engine.place { place in
            let database = try await place.node().database
            #expect(try await database.read { try LastBackup.find($0) == nil })
            for number in Int64(1)...2 {
                let backup = LastBackup(madeAt: Timestamp(rawValue: number), position: Position(rawValue: number * 10))
                try await database.write { try backup.note($0) }
            }
            let found = try await database.read { try LastBackup.find($0) }
            #expect(found?.madeAt.rawValue == 2)
            #expect(found?.position.rawValue == 20)
        }
    }
}
