internal import ArgumentParser
internal import Database
internal import EventLog
internal import Logging
internal import Schemas
internal import Server
internal import Sodium

/// `apus secret`
struct SecretCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "secret", abstract: "Looks whether the server's secret is the right one, and gives the database another.",
        subcommands: [Check.self, Renew.self])

    /// `apus secret check`
    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Looks for what was made with another secret. Exit code 1 when there is any.")

        @OptionGroup var dataOptions: DataOptions

        func run() async throws {
            let node = try await Node(dataOptions, dataOptions.environment(), logger: .ofCommand)
            let report = try await SecretRenewal(of: node.database, to: node.secret.value).check()
            try node.close()
            guard report.isClean else {
                print("\(report.words) made with another secret than the database's: apus secret renew makes them anew.")
                throw ExitCode(1)
            }
            print("The secret is the database's, and everything was made with it.")
        }
    }

    /// `apus secret renew`
    struct Renew: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes the given secret the database's, and makes anew what was made with another.",
            discussion: """
                For what was written under a wrong secret, for one that was lost, and for one that others have learnt. The secret is the \
                one of APUS_SECRET, APUS_SECRET_FILE or the data folder; where there is none, one is made in the data folder. Stop all \
                servers first, and give all of them the same secret afterwards.

                Seals and the proofs of erasures are signed anew, after the log was found to be what they say; the stokens of the \
                tables are made anew. Accounts, sessions and data stay. Clients sync anew once, as their stokens are of the secret \
                before. A seal that was kept elsewhere proves no more by its signature: print and keep a new one (apus log seal --print).
                """)

        @Flag(help: "Does not look whether other programs are connected to the database.")
        var ignoreOthers = false

        @OptionGroup var dataOptions: DataOptions

        func run() async throws {
            let environment = try dataOptions.environment()
            let folder = DataFolder(path: try dataOptions.folder(environment))
            let place = try dataOptions.databasePlace(environment)
            guard try await Node.isMade(place, folder) else {
                throw OperatorFault("the database is empty: its first server gives it its secret")
            }
            if !ignoreOthers { try await Others.requireNone(place, to: "renewing the secret") }
            let database = try await Node.open(place)
            let kept = try folder.secret(environment)
            let secret = try kept ?? folder.makeSecret()
            do {
                try await database.write { [dialect = database.dialect] in try Schema.create($0, dialect) }
                let report = try await SecretRenewal(of: database, to: secret.value).renew()
                print("The secret is the database's now; \(report.words) made anew.")
            } catch {
                if kept == nil { try folder.removeSecret() }
                throw error
            }
            try database.close()
        }
    }
}

extension SecretRenewal.Report {
    fileprivate var words: String {
        "\(seals) signatures of seals, \(redactions) of erasures and \(stokens) stokens were"
    }
}
