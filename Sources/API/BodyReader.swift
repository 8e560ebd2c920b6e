internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// Reads the body of a request as far as the request may have one (DESIGN §12).
///
/// A short one is read at once, whoever sends it, so that what is wrong with it is told first (QUIRKS.md 28). A longer one only
/// where its length is allowed and the request's token was found good. All that is held is taken of a budget as it comes: of
/// the strangers' until somebody is known, and of the other from then on.
struct BodyReader {
    private let request: Request
    private let isForUsers: Bool
    private let limitBytes: Int
    private let copies: Int
    private let shortBytes: Int
    private let admission: Admission
    private let connection: ClientConnection?
    private var isKnown = false
    private var share: MemoryShare
    private var body = ByteBuffer()

    /// - Parameter bodyLimitBytes: the longest body that anybody may send.
    init(_ request: Request, to route: Route, bodyLimitBytes: Int, _ admission: Admission, _ connection: ClientConnection?) {
        self.request = request
        self.admission = admission
        self.connection = connection
        isForUsers = route.audience == .users || route.audience == .doctors
        shortBytes = min(bodyLimitBytes, Admission.strangersBodyBytes)
        limitBytes = isForUsers && route.body != .none ? min(bodyLimitBytes, route.body.limitBytes) : shortBytes
        copies = route.body.copies
        share = MemoryShare(of: admission.strangers)
    }

    /// The body, with what it holds of a budget for as long as the share lives.
    ///
    /// - Parameter authenticate: looks whether the request's token is good; called at most once, and throws where it is not.
    mutating func read(authenticate: () async throws -> Void) async throws -> (bytes: ByteBuffer, share: MemoryShare) {
        let announced = request.headers[.contentLength].flatMap { Int($0) } ?? 0
        guard announced <= limitBytes else { throw APIError.tooLarge("A request", limitBytes: limitBytes) }
        if announced > shortBytes { try await becomeKnown(authenticate) }
        var parts = request.body.makeAsyncIterator()
        while true {
            let next: ByteBuffer?
            do { next = try await parts.next() } catch { throw Self.fault(error) }
            guard let part = next else { break }
            let length = body.readableBytes + part.readableBytes
            guard length <= limitBytes else { throw APIError.tooLarge("A request", limitBytes: limitBytes) }
            if !isKnown, length > shortBytes { try await becomeKnown(authenticate) }
            do { try hold(part.readableBytes) } catch let full {
                guard isForUsers, !isKnown else { throw full }
                try await becomeKnown(authenticate)
                try hold(part.readableBytes)
            }
            body.writeImmutableBuffer(part)
        }
        return (body, share)
    }

    private func hold(_ bytes: Int) throws(APIError) { try share.grow(by: isKnown ? bytes * copies : bytes) }

    private mutating func becomeKnown(_ authenticate: () async throws -> Void) async throws {
        try await authenticate()
        isKnown = true
        share = MemoryShare(of: admission.memory)
        try hold(body.readableBytes)
        connection?.acceptBody()
    }

    private static func fault(_ error: any Error) -> any Error {
        switch error {
        case is CancellationError: return error
        case is SlowBody: return APIError.slowBody
        default:
            // What is not HTTP any more; nothing can follow on this connection.
            var broken = APIError.unparsableBody
            broken.headers[.connection] = "close"
            return broken
        }
    }
}
