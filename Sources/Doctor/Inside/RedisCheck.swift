internal import Redis

extension Inside {
    /// The Redis that processes wake each other through.
    static func redis(_ patient: Patient) async -> Finding {
        guard let url = patient.redis else { return .notApplicable("none is set (APUS_REDIS_URL)") }
        let facts: RedisFacts
        do { facts = try await RedisFacts(of: url) } catch {
            return .failure(
                "\(error)", means: "Everything goes on, more slowly, but no sockets are opened: apps do not hear of changes at once.",
                mend: "Look whether it runs, and at its address, user and password (APUS_REDIS_URL).")
        }
        return finding(facts)
    }

    static func finding(_ facts: RedisFacts) -> Finding {
        guard facts.isPrimary else {
            return .failure(
                "it is a \(facts.role)", means: "A replica takes no writes: no sockets are opened.",
                mend: "Let APUS_REDIS_URL name the primary, or an address that follows it.")
        }
        if let refusal = facts.refusal {
            return .failure(
                "it takes no writes: \(refusal)", means: "No sockets are opened: apps do not hear of changes at once.",
                mend: "See what the sentence says: most often its disk or its memory (maxmemory) is full.")
        }
        if let policy = facts.policy, facts.maximumBytes ?? 0 > 0, !policy.isEmpty, policy != "noeviction" {
            return .warning(
                "maxmemory is set, and maxmemory-policy is \(policy)",
                means: "When it is full it throws away the tickets with which apps open sockets, before they are used.",
                mend: "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf: what apus keeps there is small and expires.")
        }
        return .ok("\(facts.version.map { "Redis \($0)" } ?? "it") is a primary and takes writes")
    }
}
