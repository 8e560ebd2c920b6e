import Contents
import Database
import Domain
import EventLog
import Foundation
import Projections
import ReadModel
import Schemas
import Server

@testable import Backup

extension Subject {
    /// A good backup that is changed. The first byte says how: by its bytes, or by its values, of which it has right hashes then.
    /// (Keys of streams are drawn anew by each process, so a change to the bytes of one is not always the same.)
    static let backups = Subject(
        "backups",
        waiting: { bytes in
            guard let first = bytes.first else { return }
            let folder = FileManager.default.temporaryDirectory.appending(path: "apus-fuzzing-\(getpid()).\(UUID())").path()
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let path = folder + "/backup"
            var backup = try await Self.backup.value
            if first & 1 == 0 { patch(&backup, bytes.dropFirst()) }
            try require(FileManager.default.createFile(atPath: path, contents: Data(backup)), "\(path) can be made")
            if first & 1 == 1 { try await edit(path, bytes.dropFirst()) }
            let restore = Restore(into: folder + "/restored", server: nil, secret: nil)
            do {
                try await withScratch { scratch in
                    _ = try await restore.run(path, scratch: scratch, toleratesFaults: first & 2 == 0, at: noon)
                }
            } catch is BackupFault {
            } catch is DatabaseFault {
            } catch is LogFault {}
            try require(!Restore.isUnfinished(in: folder + "/restored"), "of a restore that has ended nothing is left to be ended")
        })

    private static let noon = Timestamp(rawValue: 1_700_000_000_000_000)
    private static let secret = [UInt8](0..<32)

    /// Changes bytes: where, in three bytes, and what they are then, after how many.
    private static func patch(_ backup: inout [UInt8], _ changes: ArraySlice<UInt8>) {
        var changes = changes
        while changes.count > 4 {
            let place = changes.prefix(3).reduce(0) { $0 << 8 | Int($1) }
            let length = Int(changes[changes.startIndex + 3] % 16)
            for (offset, byte) in changes.dropFirst(4).prefix(length).enumerated() { backup[(place + offset) % backup.count] = byte }
            changes = changes.dropFirst(4 + length)
        }
    }

    /// Changes values: of which table, column and row, and what they are then.
    private static func edit(_ path: String, _ changes: ArraySlice<UInt8>) async throws {
        let database = try SQLiteDatabase(path: path, as: .foreign)
        try await database.write { connection in
            let tables = try Table.all(connection)
            var changes = changes
            while changes.count > 4 {
                let head = Array(changes.prefix(5))
                let (table, content) = (tables[Int(head[0]) % tables.count], changes.dropFirst(5).prefix(Int(head[4] % 32)))
                let column = Shape.quoted(table.columns[Int(head[1]) % table.columns.count].name)
                let statement = Statement(
                    """
                    UPDATE OR IGNORE \(Shape.quoted(table.name)) SET \(column) = $1
                    WHERE  rowid = (SELECT rowid FROM \(Shape.quoted(table.name)) LIMIT 1 OFFSET \(head[2] % 8))
                    """)
                let value: Value =
                    switch head[3] % 4 {
                    case 0: .null
                    case 1: .integer(content.prefix(8).reduce(0) { $0 << 8 | Int64($1) })
                    case 2: .text(content.text)
                    default: .blob(Array(content))
                    }
                // A table may have no rowid, and a column may refuse.
                do { try connection.execute(statement, [value]) } catch is DatabaseFault {}
                changes = changes.dropFirst(5 + content.count)
            }
            for table in tables {
                do {
                    try connection.execute(updateDigest, [.blob(table.sum(connection).digest), .text(table.name)])
                } catch is DatabaseFault {}
            }
        }
        try database.close()
    }

    private static let updateDigest = Statement("UPDATE apus_backup_table SET digest = $1 WHERE name = $2")

    /// A backup of a server with a user who has a collection.
    private static let backup = Task {
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-fuzzing-\(getpid()).\(UUID())").path()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let database = try SQLiteDatabase(path: folder + "/database")
        try await database.write { try Schema.create($0, .sqlite) }
        let stokens = StokenSealer(secret: secret)
        let projection = DjangoProjection(stokens: stokens)
        let chunks = ContentStores(table: TableContents(database), files: FileContents(folder: folder + "/chunks"), place: .files)
        let readModel = ReadModel(database: database, stokens: stokens, contents: chunks, progress: nil)
        let committer = Committer(LocalAppender(database: database) { try projection.apply($1, $0) })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await committer.run() }
            try await fill(Door(readModel: readModel, committer: committer, chunks: chunks), readModel)
            group.cancelAll()
        }
        let path = folder + "/backup"
        _ = try await Backup(of: database, chunks: chunks, secret: secret).write(to: path, at: noon)
        return Array(try Data(contentsOf: URL(filePath: path)))
    }

    private static func fill(_ door: Door, _ readModel: ReadModel) async throws {
        let keys = UserKeys(salt: [1], loginPubkey: [2], pubkey: [3], encryptedContent: [4])
        let made = try await door.commit(
            CreateUser(username: "ann", email: "ann@example.com", keys: keys, passwordSalt: "salt", mayCreate: true), by: .operator,
            at: noon)
        let ann = UserID(rawValue: made[0].position.rawValue)
        let (chunk, content) = (ChunkUID("chunk"), [UInt8](0..<16))
        let item = OfferedItem(
            uid: ItemUID("collection-of-ann"), version: 1, encryptionKey: nil, etag: nil,
            revision: OfferedRevision(
                uid: RevisionUID("revision"), meta: [1, 2], isDeleted: false,
                chunks: [OfferedChunk(uid: chunk, content: StoredChunk(uid: chunk, content: content))]))
        let prepared = try await readModel.snapshot(.small) {
            try $0.prepare(CreateCollection(author: ann, item: item, collectionType: [1], collectionKey: [5]))
        }
        try await door.commit(prepared, with: [chunk: content], by: Actor(user: ann), at: noon, holding: 0)
    }
}
