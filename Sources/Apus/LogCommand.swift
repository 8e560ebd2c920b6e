internal import ArgumentParser
internal import Database
internal import Domain
internal import EventLog
internal import Foundation
internal import Logging
internal import Server
internal import Sodium

/// `apus log`
struct LogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Looks at the log, seals it, and checks it against its seals.",
        subcommands: [Tail.self, SealLog.self, VerifyLog.self])

    /// `apus log tail`
    struct Tail: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the newest events: what happened, without what it was about.")

        /// How many events are read at once.
        private static let page = 1000

        @Option(name: .shortAndLong, help: "How many.")
        var lines = 20

        @Option(help: "All after this position, instead of the newest.")
        var after: Int64?

        @Flag(help: "A line of JSON for each.")
        var json = false

        @OptionGroup var dataOptions: DataOptions

        func run() async throws {
            let node = try await Node(dataOptions, dataOptions.environment(), logger: Logger(label: "apus"))
            let head = try await node.database.read { try EventLog.head($0) }.position
            var last = after.map(Position.init) ?? Position(rawValue: head.rawValue - Int64(max(lines, 0)))
            while last < head {
                let page = try await node.database.read { [last] in try EventLog.lines(after: last, limit: Self.page, $0) }
                guard let end = page.last else { break }
                for line in page { print(try text(line)) }
                last = end.position
            }
            try node.close()
        }

        private struct Fields: Encodable {
            let position: Int64
            let epoch: Int64
            let time: String
            let type: String
            let stream: String
            let user: Int64?
            let session: String?
        }

        private func text(_ line: EventLog.Line) throws -> String {
            let time = line.occurredAt.text.replacing(" ", with: "T") + "Z"
            guard json else {
                return [
                    String(line.position.rawValue), time, line.type.visible, line.stream.visible,
                    line.actor.map { "user/\($0.rawValue)" } ?? "operator",
                    line.session?.visible ?? "",
                ].joined(separator: "\t")
            }
            let fields = Fields(
                position: line.position.rawValue, epoch: line.epoch, time: time, type: line.type, stream: line.stream,
                user: line.actor?.rawValue, session: line.session)
            return try JSONLine.text(fields)
        }
    }

    /// `apus log seal`
    struct SealLog: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "seal", abstract: "Seals what is in the log now; a server does so by itself every minute.")

        @Flag(help: "Prints the newest seal: kept elsewhere, it proves later what the log was.")
        var print = false

        @OptionGroup var dataOptions: DataOptions

        func run() async throws {
            let node = try await Node(dataOptions, dataOptions.environment(), logger: Logger(label: "apus"))
            let sealer = Sealer(database: node.database, key: SealKey(secret: node.secret.value))
            try await sealer.seal()
            let newest = try await sealer.newest()
            try node.close()
            guard let newest else { throw ValidationError("the log is empty: there is nothing to seal") }
            Swift.print(print ? newest.text : "The log is sealed up to position \(newest.position.rawValue).")
        }
    }

    /// `apus log verify`
    struct VerifyLog: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "verify", abstract: "Checks the log against its seals. Exit code 1 when something is wrong.",
            discussion: """
                The first event that was changed, removed, inserted or moved is named. What has no seal yet is checked by how its \
                events follow each other. apus verify checks that the tables are what the log says.
                """)

        @Option(help: "A seal that was kept elsewhere, or the file that it is in: the log must be what it was made of.")
        var seal: String?

        @OptionGroup var dataOptions: DataOptions

        func run() async throws {
            let proof = try seal.map(Self.read)
            let node = try await Node(dataOptions, dataOptions.environment(), logger: Logger(label: "apus"))
            let report = try await node.verifyLog(against: proof)
            try node.close()
            for fault in report.faults { print("log: \(fault)") }
            guard report.faults.isEmpty else { throw ExitCode(1) }
            let reach =
                report.sealed == report.end
                ? "all of them sealed" : "sealed up to \(report.sealed.rawValue); those after it are checked only by how they follow"
            let rewritten = report.rewritten == 0 ? "" : " \(report.rewritten) events were rewritten by erasures and gc, as it says itself."
            print("The log is sound: it ends at position \(report.end.rawValue), \(reach).\(rewritten)")
        }

        private static func read(_ text: String) throws -> Seal {
            if let seal = Seal(text) { return seal }
            guard let content = FileManager.default.contents(atPath: text) else {
                throw ValidationError("\(text) is neither a seal nor a file that can be read")
            }
            guard let seal = Seal(String(decoding: content, as: UTF8.self)) else { throw ValidationError("\(text) holds no seal") }
            return seal
        }
    }
}
