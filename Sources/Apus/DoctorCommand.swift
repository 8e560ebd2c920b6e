internal import ArgumentParser
internal import Contents
internal import Doctor
internal import Foundation

/// `apus doctor`
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Looks for what goes wrong with servers, and says how to mend it.",
        discussion: """
            With the settings of the server, beside it or without it; nothing is changed without --fix. Each check has a number, a result, \
            and where something is wrong what that means and how to mend it. The exit code is 1 when something has failed.
            """)

    @Flag(help: "One line of JSON.") var json = false
    @Flag(help: "Mends what can be mended without a question.") var fix = false

    @Option(help: "The public address, such as https://sync.example.com: looks through it too, as a client does.") var url: String?
    @Option(help: "With --url: HOST:PORT to connect to instead of what its name says.") var address: String?
    @Option(help: "With --url: a file of certificates of authorities to trust instead of the system's.") var authorities: String?
    @Option(help: "With --url: how long an answer may take on its way, at most 100s.") var patience = "65s"

    @OptionGroup var dataOptions: DataOptions
    @OptionGroup var options: ServeOptions

    func run() async throws {
        let environment = Environment(
            examining: ProcessInfo.processInfo.environment, flags: dataOptions.flags.merging(options.flags) { $1 })
        let mistakes = environment.mistakes + environment.wrongValues
        let isUnderstood = mistakes.isEmpty
        let patient = isUnderstood ? try environment.patient() : nil
        let (site, time) = (try site(), try longestWait())
        let inside = patient.map(Inside.checks) ?? Inside.mistakes(mistakes)
        let tell: @Sendable (Examined) throws -> Void = { [json] examined in if !json { try Self.tell(examined) } }
        var found = try await Doctor.examine(inside, mends: fix, told: tell)
        if let site {
            let row = try await probeRow(
                patient, environment, isDatabaseWell: found.contains { $0.number == 7 && $0.finding.result == .ok })
            let outside = await Outside(
                site, expecting: try expectation(isUnderstood ? environment : nil), probe: row?.token, patience: time)
            do { found += try await Doctor.examine(outside.checks, mends: fix, told: tell) } catch {
                try await row?.remove()
                throw error
            }
            try await row?.remove()
        }
        let failures = found.count { $0.finding.result == .failure }
        let warnings = found.count { $0.finding.result == .warning }
        if json {
            print(try JSONLine.text(Told(checks: found.map(Told.Line.init), failures: failures, warnings: warnings)))
        } else {
            print("\(found.count) checks: \(failures) failed, \(warnings) warned")
        }
        guard failures == 0 else { throw ExitCode(1) }
    }

    private func site() throws -> Site? {
        do throws(Site.Mistake) {
            return try url.map { url throws(Site.Mistake) in try Site(url, at: address, authorities: authorities) }
        } catch {
            throw ValidationError(error.description)
        }
    }

    private func longestWait() throws -> Duration {
        guard let time = try Lifetime.parse(patience), time <= .seconds(100) else {
            throw ValidationError("--patience is a span of time up to 100s, not \(patience)")
        }
        return time
    }

    /// Lets servers know the doctor; nil where there is no database to tell them through, which the inner checks have told.
    private func probeRow(_ patient: Patient?, _ environment: Environment, isDatabaseWell: Bool) async throws -> ProbeRow? {
        guard patient != nil, isDatabaseWell else { return nil }
        return try await ProbeRow(in: environment.value(Settings.databaseURL), version: Apus.version)
    }

    private func expectation(_ environment: Environment?) throws -> Outside.Expectation {
        Outside.Expectation(
            trustsProxy: try environment?.value(Settings.trustProxy) ?? false,
            publicURL: try environment?.text(Settings.publicURL.facts) ?? nil,
            bodyBytes: try environment?.value(Settings.bodyLimit) ?? 75_000_000)
    }

    /// Each as soon as it is known: some take a minute.
    private static func tell(_ examined: Examined) throws {
        let number = String(repeating: " ", count: max(0, 2 - String(examined.number).count)) + String(examined.number)
        let result = examined.finding.result == .notApplicable ? "-" : examined.finding.result.rawValue
        var lines = ["\(number)  \(result.padding(toLength: 8, withPad: " ", startingAt: 0))  \(examined.title): \(examined.finding.found)"]
        if let mended = examined.mended { lines.append("    mended    \(mended)") }
        if let meaning = examined.finding.meaning { lines.append("    means     \(meaning)") }
        if let remedy = examined.finding.remedy { lines.append("    mend      \(remedy)") }
        for line in lines { print(line) }
        fflush(nil)
    }
}

/// What the doctor has found, for programs.
private struct Told: Encodable {
    struct Line: Encodable {
        let number: Int
        let title: String
        let result: String
        let found: String
        let meaning: String?
        let remedy: String?
        let mended: String?

        init(_ examined: Examined) {
            (number, title, mended) = (examined.number, examined.title, examined.mended)
            (result, found) = (examined.finding.result.rawValue, examined.finding.found)
            (meaning, remedy) = (examined.finding.meaning, examined.finding.remedy)
        }
    }

    let checks: [Line]
    let failures: Int
    let warnings: Int
}
