internal import Hummingbird
internal import HTTPTypes
internal import Sodium
internal import Telemetry

extension API {
    /// `GET /metrics`
    func metrics() async -> Response {
        Answer.text(.ok, Registry.shared.exposition(await readings()), type: Registry.mediaType)
    }

    /// - Throws: that there is nothing at this address, for whoever does not have the token.
    func requireMetricsToken(_ call: Call) throws {
        let given = call.headers[.authorization]?.split(separator: " ", maxSplits: 1) ?? []
        guard let token = settings.metricsToken, given.count == 2, given[0].lowercased() == "bearer",
            Self.mark(given[1]) == Self.mark(token.value[...])
        else { throw APIError.notFound }
    }

    /// What tokens are compared by: how long that takes tells nothing of them.
    private static func mark(_ token: Substring) -> [UInt8] { Sodium.blake2b(Array(token.utf8), personalization: "apus-metrics") }
}
