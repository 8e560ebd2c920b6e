/// What goes wrong with servers in practice, looked for one thing after the other: `apus doctor`.
///
/// Pattern: checks are values in a list, each with a number that stays its own, a title, and a function that looks at one thing and
/// makes a ``Finding``. Those of `Inside` look at what lies on this machine and in its database; those of `Outside` go through the
/// public address as a client does. Whoever prints findings knows nothing of what was looked at.
///
/// Invariants: nothing is changed by looking, but for one row that lets a server know the doctor's requests (``Probe``). A finding never
/// holds a secret. Every check ends within a limit of its own.
///
/// Concurrency: checks run in their order, for what one does must not be in another's way; those that only wait run beside them.

/// One thing to look at.
package struct Check: Sendable {
    /// Its own for good: it is what people tell each other.
    package let number: Int
    package let title: String
    /// Whether it does nothing but wait, so that others may run meanwhile.
    let onlyWaits: Bool
    /// How long it may take.
    let limit: Duration
    let run: @Sendable () async -> Finding

    init(
        _ number: Int, _ title: String, limit: Duration = .seconds(30), onlyWaits: Bool = false,
        _ run: @escaping @Sendable () async -> Finding
    ) {
        (self.number, self.title, self.limit, self.onlyWaits, self.run) = (number, title, limit, onlyWaits, run)
    }

    /// Looks, within the limit.
    func look() async -> Finding {
        await withTaskGroup(of: Finding?.self) { group in
            group.addTask { await run() }
            group.addTask {
                do { try await Task.sleep(for: limit) } catch { return nil }
                return .failure(
                    "nothing was found out within \(limit.components.seconds) s", means: "What is asked here does not answer.",
                    mend: "Look whether it runs, and whether anything on the way to it holds requests back.")
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first ?? .notApplicable("it was interrupted")
        }
    }
}

/// What a check has found.
package struct Finding: Sendable {
    package enum Result: String, Sendable {
        case ok
        case warning
        case failure
        case notApplicable = "not applicable"
    }

    package let result: Result
    /// What is so.
    package let found: String
    /// What follows from it; nil where nothing is wrong.
    package let meaning: String?
    /// What to do; nil where nothing is wrong.
    package let remedy: String?
    /// Mends it, where that wants no question; tells what was done.
    let fix: Fix?

    typealias Fix = @Sendable () async throws -> String

    static func ok(_ found: String) -> Finding { Finding(result: .ok, found: found, meaning: nil, remedy: nil, fix: nil) }

    static func notApplicable(_ why: String) -> Finding {
        Finding(result: .notApplicable, found: why, meaning: nil, remedy: nil, fix: nil)
    }

    static func warning(_ found: String, means: String, mend: String, fix: Fix? = nil) -> Finding {
        Finding(result: .warning, found: found, meaning: means, remedy: mend, fix: fix)
    }

    static func failure(_ found: String, means: String, mend: String, fix: Fix? = nil) -> Finding {
        Finding(result: .failure, found: found, meaning: means, remedy: mend, fix: fix)
    }
}

/// A check with what it has found.
package struct Examined: Sendable {
    package let number: Int
    package let title: String
    package let finding: Finding
    /// What was mended before, in words.
    package let mended: String?
}

/// Runs checks, and mends what they find.
package enum Doctor {
    /// - Parameters:
    ///   - mends: whether what wants no question is mended; it is looked at again then.
    ///   - told: called with each in the order of the list, as soon as it and those before it are known.
    /// - Returns: what was found, in the order of the list.
    @discardableResult
    package static func examine(_ checks: [Check], mends: Bool, told: @Sendable (Examined) throws -> Void = { _ in }) async rethrows
        -> [Examined]
    {
        try await withThrowingTaskGroup(of: (Int, Examined).self) { group in
            for (index, check) in checks.enumerated() where check.onlyWaits {
                group.addTask { (index, await examine(check, mends: mends)) }
            }
            var waited: [Int: Examined] = [:]
            var all: [Examined] = []
            for (index, check) in checks.enumerated() {
                if !check.onlyWaits { waited[index] = await examine(check, mends: mends) }
                while waited[index] == nil, let (other, examined) = try await group.next() { waited[other] = examined }
                guard let examined = waited[index] else { continue }
                try told(examined)
                all.append(examined)
            }
            return all
        }
    }

    private static func examine(_ check: Check, mends: Bool) async -> Examined {
        let finding = await check.look()
        guard mends, let fix = finding.fix else {
            return Examined(number: check.number, title: check.title, finding: finding, mended: nil)
        }
        do {
            let done = try await fix()
            return Examined(number: check.number, title: check.title, finding: await check.look(), mended: done)
        } catch {
            let again = Finding.failure(
                finding.found, means: finding.meaning ?? "", mend: "\(finding.remedy ?? "") (It could not be mended from here: \(error).)")
            return Examined(number: check.number, title: check.title, finding: again, mended: nil)
        }
    }
}
