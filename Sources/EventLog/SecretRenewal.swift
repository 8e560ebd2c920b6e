package import Database
internal import Domain
internal import Sodium

/// Makes everything that was made with another secret anew: seals' signatures, the proofs of redactions, and the stokens that the
/// tables hold. It mends what was written under a wrong secret, and gives a database a new one.
///
/// What follows from a secret and is not kept, challenges of logins, tickets, the channels of Redis, is of the new one by itself.
/// Clients' stokens of another secret are told to be bad, and clients sync anew; sessions go on.
///
/// Invariants: nothing is signed that does not hold: seals are made anew only over a log of which every hash fits, whatever it was
/// signed with. All is one transaction. Nobody else may work on the database meanwhile.
package struct SecretRenewal: Sendable {
    /// How many rows are looked at together.
    private static let page: Int64 = 1000

    /// How much is of another secret.
    package struct Report: Sendable {
        package var seals = 0
        package var redactions = 0
        package var stokens = 0
        /// Whether there is nothing of another one.
        package var isClean: Bool { seals + redactions + stokens == 0 }
    }

    private let database: any Database
    private let secret: Hidden<[UInt8]>

    package init(of database: any Database, to secret: [UInt8]) {
        self.database = database
        self.secret = Hidden(secret)
    }

    /// Tells what is of another secret, and changes nothing.
    package func check() async throws -> Report {
        try await database.read { connection in try visit(connection, renews: false) }
    }

    /// Makes it anew, and this secret the database's.
    ///
    /// - Throws: ``SecretFault`` when the log is not what its seals say; then nothing has changed.
    package func renew() async throws -> Report {
        let report = try await LogVerification(database: database, key: SealKey(secret: secret.value), acceptsAnyKey: true).run()
        guard report.faults.isEmpty else {
            throw SecretFault("the log is not sound, and is not sealed anew: \(report.faults[0])")
        }
        return try await database.write { connection in
            try SecretMark.set(secret.value, connection)
            return try visit(connection, renews: true)
        }
    }

    private func visit(_ connection: any Connection, renews: Bool) throws -> Report {
        var report = Report()
        report.seals = try seals(connection, renews)
        report.redactions = try redactions(connection, renews)
        report.stokens = try stokens(connection, renews)
        return report
    }

    private func seals(_ connection: any Connection, _ renews: Bool) throws -> Int {
        let key = SealKey(secret: secret.value)
        var count = 0
        var last: Int64 = 0
        while true {
            let seals = try connection.query(Self.selectSeals, [.integer(last), .integer(Self.page)]) { row in
                (position: Position(rawValue: row.integer(0)), hash: row.blob(1), signature: row.blob(2))
            }
            guard let end = seals.last else { return count }
            for seal in seals where !key.isValid(seal.signature, of: Seal.message(seal.hash, at: seal.position)) {
                count += 1
                guard renews else { continue }
                let signature = key.seal(seal.hash, at: seal.position).signature
                try connection.enqueue(Self.updateSeal, [.integer(seal.position.rawValue), .blob(signature)])
            }
            last = end.position.rawValue
        }
    }

    private func redactions(_ connection: any Connection, _ renews: Bool) throws -> Int {
        let key = SealKey(secret: secret.value)
        var count = 0
        for proof in try RedactionProof.all(connection) where !key.isValid(proof.signature, of: proof.message) {
            count += 1
            if renews { try connection.execute(Self.upsertProof, [.blob(proof.id), .blob(key.sign(proof.message))]) }
        }
        return count
    }

    private func stokens(_ connection: any Connection, _ renews: Bool) throws -> Int {
        let sealer = StokenSealer(secret: secret.value)
        var count = 0
        var last = try Epochs(connection).base.rawValue
        while true {
            let rows = try connection.query(
                Self.selectStokens, [.text(EventType.recordsAdopted.rawValue), .integer(last), .integer(Self.page)]
            ) { row in
                (head: LogHead(position: Position(rawValue: row.integer(0)), epoch: row.integer(2)), stoken: row.text(1))
            }
            guard let end = rows.last else { return count }
            for row in rows where sealer.stoken(row.head) != row.stoken {
                count += 1
                if renews {
                    try connection.enqueue(Self.updateStoken, [.integer(row.head.position.rawValue), .text(sealer.stoken(row.head))])
                }
            }
            last = end.head.position.rawValue
        }
    }

    private static let selectSeals = Statement(
        "SELECT position, hash, signature FROM apus_seal WHERE position > $1 ORDER BY position LIMIT $2")
    private static let updateSeal = Statement("UPDATE apus_seal SET signature = $2 WHERE position = $1")
    private static let upsertProof = Statement(
        "INSERT INTO apus_resigned (redaction, signature) VALUES ($1, $2) ON CONFLICT (redaction) DO UPDATE SET signature = excluded.signature"
    )

    /// Those that follow from positions. Adopted rows have the original's.
    private static let selectStokens = Statement(
        """
        SELECT stoken.id, stoken.uid, event.epoch
        FROM   django_etebase_stoken stoken
        JOIN   apus_event event ON event.position = stoken.id
        WHERE  event.type <> $1 AND stoken.id > $2
        ORDER  BY stoken.id
        LIMIT  $3
        """)
    private static let updateStoken = Statement("UPDATE django_etebase_stoken SET uid = $2 WHERE id = $1")
}
