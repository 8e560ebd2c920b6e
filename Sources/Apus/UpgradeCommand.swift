internal import ArgumentParser
internal import Database
internal import Schemas
internal import Server

/// `apus upgrade`
struct UpgradeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upgrade", abstract: "Brings the tables to the version of this program, or tells what that would do.",
        discussion: """
            The first server that starts does the same. Beside running servers where the plan says so; an older program that is \
            started afterwards refuses.
            """)

    @Flag(help: "Changes nothing, and tells what would be done, who may run beside, and the steps.")
    var plan = false

    @OptionGroup var dataOptions: DataOptions

    func run() async throws {
        let environment = try dataOptions.environment()
        let place = try dataOptions.databasePlace(environment)
        guard try await Node.isMade(place, DataFolder(path: try dataOptions.folder(environment))) else {
            throw OperatorFault("the database is empty: its first server makes the tables")
        }
        let database = try await Node.open(place, as: plan ? .reading : .own)
        guard let found = try await database.read({ try Schema.plan($0) }) else {
            throw OperatorFault("the database is empty: its first server makes the tables")
        }
        if plan {
            for line in Self.lines(found) { print(line) }
        } else {
            try await database.write { [dialect = database.dialect] in try Schema.create($0, dialect) }
            print(
                found.steps.isEmpty
                    ? "The tables have schema \(found.newest) already: nothing is to be done."
                    : "The tables have schema \(found.newest) now; before, it was \(found.found).")
        }
        try (database as? SQLiteDatabase)?.close()
    }

    private static func lines(_ plan: UpgradePlan) -> [String] {
        guard !plan.steps.isEmpty else {
            return ["The tables have schema \(plan.found), which is what this program makes: nothing is to be done to them."]
                + serving(plan) + steps(plan)
        }
        return ["The tables have schema \(plan.found), this program makes \(plan.newest):"]
            + plan.steps.map { step in
                let beside = step.bearableFrom.map { "processes before \($0) must have ended" } ?? "older processes may run beside"
                return "  \(step.version)  \(step.summary); \(beside)"
            } + serving(plan) + steps(plan)
    }

    private static func serving(_ plan: UpgradePlan) -> [String] {
        guard let processes = plan.processes else { return ["Which processes serve the database is known from schema 6 on."] }
        guard !processes.isEmpty else { return ["No process serves the database."] }
        return ["Now it is served by"] + processes.map { "  \($0)\(plan.inTheWay.contains($0) ? ": in the way, end it first" : "")" }
    }

    private static func steps(_ plan: UpgradePlan) -> [String] {
        let expand =
            plan.steps.isEmpty
            ? []
            : [
                "apus upgrade, or the start of the first new process, makes schema \(plan.newest); older ones cannot be started after it."
            ]
        let all =
            ["apus backup FILE."] + expand
            + ["Replace the processes one after the other: projectors first, then gateways, then front ends.", "apus verify."]
        return ["Steps:"] + all.enumerated().map { "  \($0.offset + 1). \($0.element)" }
    }
}
