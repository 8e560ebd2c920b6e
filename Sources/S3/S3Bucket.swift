internal import AsyncHTTPClient
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL
internal import Sodium
internal import Telemetry

/// What could not be done with a bucket, in words for whoever runs it.
package struct S3Fault: Error, CustomStringConvertible, Sendable {
    package let description: String
    init(_ description: String) { self.description = description }
}

/// Objects in a bucket, below an address's prefix. Names of objects are letters, digits and `/ - _ . ~`.
package struct S3Bucket: Sendable {
    /// How long requests are tried: pauses grow from the first to the last.
    package struct Patience: Sendable {
        /// How often something is tried.
        package var attempts = 5
        /// The longest pause before the second attempt; each may be twice as long as the one before it.
        package var pause = Duration.milliseconds(100)
        /// After so long a time nothing is tried again.
        package var total = Duration.seconds(20)
        /// How long one attempt may take, beside the time for its bytes.
        package var attempt = Duration.seconds(10)

        package init() {}
    }

    private let address: S3Address
    private let signature: S3Signature
    private let connections: Connections
    private let patience: Patience

    /// - Throws: ``S3Fault`` when the file with authorities cannot be read.
    package init(_ address: S3Address, _ keys: S3Keys, patience: Patience = Patience()) throws(S3Fault) {
        self.address = address
        self.patience = patience
        signature = S3Signature(keys: keys, region: address.region, host: address.authority)
        connections = try Connections(address)
    }

    /// Where it is.
    package var name: String { address.description }

    /// Puts an object, over one of that name.
    ///
    /// - Parameter digest: SHA-256 of the content, which the other side checks.
    /// - Throws: ``S3Fault`` when it is not known to be there.
    package func put(_ name: String, _ content: [UInt8], digest: [UInt8]) async throws {
        let answer = try await ask(.put, address.root + name, body: content, digest: digest)
        guard answer.status == 200 else { throw answer.fault(self.name) }
    }

    /// An object, or a part of it; nil where there is none.
    ///
    /// - Parameters:
    ///   - range: what of it is wanted; nil for all.
    ///   - limit: more bytes than this are a fault.
    package func get(_ name: String, _ range: Range<Int>? = nil, limit: Int) async throws -> [UInt8]? {
        let headers = range.map { [("range", "bytes=\($0.lowerBound)-\($0.upperBound - 1)")] } ?? []
        let answer = try await ask(.get, address.root + name, headers: headers, limit: limit)
        switch answer.status {
        case 200 where range == nil, 206 where range != nil: return answer.body
        case 404 where answer.code != "NoSuchBucket": return nil
        // Shorter than it should be.
        case 416: return []
        // A part is wanted, and the other side knows none.
        case 200: return Array(answer.body.dropFirst(range?.lowerBound ?? 0).prefix(range?.count ?? 0))
        default: throw answer.fault(self.name)
        }
    }

    /// Path and query with which whoever has them gets an object from the store, for five minutes: long enough for a clock that is a little
    /// wrong.
    ///
    /// - Parameter method: GET or HEAD, of which it is good for one.
    package func signed(_ method: String, _ name: String) -> String {
        let path = address.root + name
        return path + "?" + signature.query(method, path, at: Self.time(), seconds: 300)
    }

    /// Removes an object, whether or not it is there.
    package func remove(_ name: String) async throws {
        let answer = try await ask(.delete, address.root + name)
        guard [200, 204].contains(answer.status) || (answer.status == 404 && answer.code != "NoSuchBucket") else {
            throw answer.fault(self.name)
        }
    }

    /// The objects whose names begin so, a page at a time.
    package func list(_ beginning: String, _ pageObjects: Int, _ body: ([S3Object]) async throws -> Void) async throws {
        var next: String?
        repeat {
            let page = try await page(beginning, pageObjects, next)
            if !page.objects.isEmpty { try await body(page.objects) }
            next = page.next
        } while next != nil
    }

    /// The first of the objects whose names begin so.
    package func first(_ beginning: String) async throws -> S3Object? { try await page(beginning, 1, nil).objects.first }

    /// Looks once whether the bucket is there and lets us in.
    package func check() async throws {
        var once = Patience()
        once.attempts = 1
        let bucket = S3Bucket(self, once)
        _ = try await bucket.page("", 1, nil)
    }

    /// Looks once whether the bucket is there and lets us list and read, and changes nothing.
    ///
    /// - Returns: by how many seconds its clock is ahead of this machine's; nil where it does not tell the time.
    /// - Throws: ``S3Fault``
    package func examine() async throws -> Double? {
        var once = Patience()
        once.attempts = 1
        let bucket = S3Bucket(self, once)
        _ = try await bucket.page("", 1, nil)
        // Whoever may not read is told so of what is not there, too.
        let start = Date.now
        let answer = try await bucket.ask(.get, address.root + "doctor")
        guard [200, 404].contains(answer.status), answer.code != "NoSuchBucket" else { throw answer.fault(name) }
        // Given somewhere between both, and cut to a second.
        let middle = start.addingTimeInterval(Date.now.timeIntervalSince(start) / 2)
        return answer.time.flatMap(Self.date).map { $0.timeIntervalSince(middle) + 0.5 }
    }

    /// Reads what a header has as `Fri, 27 Nov 2026 12:00:00 GMT`.
    private static func date(_ text: String) -> Date? {
        // Foundation's own ways ask ICU, whose data a release leaves out.
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let words = text.split(separator: " ")
        guard words.count == 6, words[5] == "GMT", let month = months.firstIndex(of: String(words[2])) else { return nil }
        do {
            return try Date.ISO8601FormatStyle().parse("\(words[3])-\(month < 9 ? "0" : "")\(month + 1)-\(words[1])T\(words[4])Z")
        } catch { return nil }
    }

    private init(_ other: S3Bucket, _ patience: Patience) {
        (address, signature, connections, self.patience) = (other.address, other.signature, other.connections, patience)
    }

    private func page(_ beginning: String, _ pageObjects: Int, _ next: String?) async throws -> S3List {
        var query = [("list-type", "2"), ("max-keys", "\(pageObjects)"), ("prefix", address.prefix + beginning)]
        if let next { query.append(("continuation-token", next)) }
        let text = query.sorted { $0.0 < $1.0 }.map { "\($0.0)=\($0.1.percentEncoded)" }.joined(separator: "&")
        let answer = try await ask(.list, address.bucketPath, query: text, limit: Self.listBytes)
        guard answer.status == 200 else { throw answer.fault(name) }
        guard let list = S3List(String(decoding: answer.body, as: UTF8.self), prefix: address.prefix) else {
            throw S3Fault("\(name): the answer is no list of objects")
        }
        return list
    }

    // MARK: Requests

    /// How many bytes a page of a list, or what is said of a fault, may have.
    private static let listBytes = 4 << 20
    /// At least so many bytes are to come or go in a second.
    private static let bytesPerSecond = 256 << 10
    /// How much of an upload is copied at a time.
    private static let pieceBytes = 256 << 10

    private struct Answer {
        let status: UInt
        let body: [UInt8]
        /// When it was given, by the other side's clock.
        let time: String?

        /// What the other side calls a fault.
        var code: String? { status < 300 ? nil : String(decoding: body.prefix(64 << 10), as: UTF8.self).element("Code") }

        /// Whether the same may be answered otherwise in a while.
        var isPassing: Bool { [408, 425, 429, 500, 502, 503, 504].contains(status) || code == "RequestTimeout" }

        var outcome: S3Metrics.Outcome {
            switch status {
            case ..<300, 416: .done
            case 404 where code != "NoSuchBucket": .missing
            default: isPassing || status >= 500 ? .failed : .refused
            }
        }

        func fault(_ bucket: String) -> S3Fault {
            let words =
                switch code {
                case "RequestTimeTooSkewed": ": the clocks here and there are too far apart"
                case "SignatureDoesNotMatch": ": the secret key is wrong"
                case "InvalidAccessKeyId": ": the access key is not known there"
                case "NoSuchBucket": ": there is no such bucket"
                default: ""
                }
            return S3Fault("\(bucket) answers \(status) \(code.map { Self.plain($0) } ?? "")\(words)")
        }

        /// What others write is not printed as it is.
        private static func plain(_ text: String) -> String {
            String(text.prefix(64).filter { $0.isASCII && ($0.isLetter || $0.isNumber) })
        }
    }

    /// Asks until there is an answer that says something, or patience is at its end.
    private func ask(
        _ kind: S3Metrics.Kind, _ path: String, query: String = "", headers: [(String, String)] = [], body: [UInt8] = [],
        digest: [UInt8]? = nil, limit: Int = listBytes
    ) async throws -> Answer {
        let digest = (digest ?? Sodium.sha256(body)).hexadecimal
        var pause = patience.pause
        let end = ContinuousClock.now + patience.total
        for attempt in 1... {
            do {
                let answer = try await askOnce(kind, path, query, headers, body, digest, limit)
                if !answer.isPassing || attempt == patience.attempts || ContinuousClock.now > end { return answer }
            } catch let fault as S3Fault {
                throw fault
            } catch {
                try Task.checkCancellation()
                // What libraries say of a connection has no address and no key.
                if attempt == patience.attempts || ContinuousClock.now > end { throw S3Fault("\(name) cannot be reached: \(error)") }
            }
            // By lot, so that those who were turned away together do not come again together.
            try await Task.sleep(for: pause * Double.random(in: 0.2...1))
            Telemetry.s3.retries[kind].increment()
            pause *= 2
        }
        preconditionFailure("a loop without an end has ended")
    }

    /// Asks once, which is counted.
    private func askOnce(
        _ kind: S3Metrics.Kind, _ path: String, _ query: String, _ headers: [(String, String)], _ body: [UInt8], _ digest: String,
        _ limit: Int
    ) async throws -> Answer {
        let start = ContinuousClock.now
        defer { Telemetry.s3.durations[kind].record(since: start) }
        do {
            let answer = try await exchange(kind.method, path, query, headers, body, digest, limit)
            Telemetry.s3.requests[kind][answer.outcome].increment()
            return answer
        } catch {
            // Nobody waits for it any more: that says nothing of the store.
            if !Task.isCancelled { Telemetry.s3.requests[kind][error is S3Fault ? .failed : .unreachable].increment() }
            throw error
        }
    }

    private func exchange(
        _ method: String, _ path: String, _ query: String, _ headers: [(String, String)], _ body: [UInt8], _ digest: String, _ limit: Int
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: address.origin + path + (query.isEmpty ? "" : "?" + query))
        request.method = HTTPMethod(rawValue: method)
        let signed = signature.headers(method, path, query: query, headers: headers, digest: digest, at: Self.time())
        request.headers = HTTPHeaders(signed)
        if method == "PUT" { request.body = .stream(Slices(bytes: body, sliceBytes: Self.pieceBytes), length: .known(Int64(body.count))) }
        let seconds = Int64(patience.attempt.components.seconds) + Int64((body.count + limit) / Self.bytesPerSecond)
        let deadline = NIODeadline.now() + .seconds(seconds)
        let response = try await connections.client.execute(request, deadline: deadline)
        let isGood = response.status.code < 300
        var bytes: [UInt8] = []
        if isGood, let length = response.headers.first(name: "content-length").flatMap({ Int($0) }) {
            bytes.reserveCapacity(min(length, limit))
        }
        for try await part in response.body {
            guard bytes.count + part.readableBytes <= (isGood ? limit : Self.listBytes) else {
                throw S3Fault("\(name) sends more than it should")
            }
            bytes += part.readableBytesView
        }
        return Answer(status: response.status.code, body: bytes, time: response.headers.first(name: "date"))
    }

    private static func time() -> String {
        let style = Date.ISO8601FormatStyle(dateSeparator: .omitted, timeSeparator: .omitted, timeZone: .gmt)
        return Date.now.formatted(style)
    }

    /// The client, which has to be shut down.
    private final class Connections: Sendable {
        /// How many there may be: who comes then waits.
        private static let limit = 32

        let client: HTTPClient

        init(_ address: S3Address) throws(S3Fault) {
            var configuration = HTTPClient.Configuration(
                redirectConfiguration: .disallow, timeout: .init(connect: .seconds(5), read: .seconds(10)))
            configuration.connectionPool = .init(idleTimeout: .seconds(30), concurrentHTTP1ConnectionsPerHostSoftLimit: Self.limit)
            configuration.connectionPool.retryConnectionEstablishment = false
            configuration.httpVersion = .http1Only
            if let file = address.authorityFile {
                var tls = TLSConfiguration.makeClientConfiguration()
                do { tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(file)) } catch {
                    throw S3Fault("the authorities in \(file) cannot be read")
                }
                configuration.tlsConfiguration = tls
            }
            client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        }

        deinit { client.shutdown { _ in } }
    }
}

extension S3Metrics.Kind {
    fileprivate var method: String {
        switch self {
        case .put: "PUT"
        case .get, .list: "GET"
        case .delete: "DELETE"
        }
    }
}

/// Bytes cut into buffers, each made when the one before it is gone.
private struct Slices: AsyncSequence, Sendable {
    let bytes: [UInt8]
    let sliceBytes: Int

    struct AsyncIterator: AsyncIteratorProtocol {
        var rest: ArraySlice<UInt8>
        let sliceBytes: Int

        mutating func next() async -> ByteBuffer? {
            guard !rest.isEmpty else { return nil }
            defer { rest = rest.dropFirst(sliceBytes) }
            return ByteBuffer(bytes: rest.prefix(sliceBytes))
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(rest: bytes[...], sliceBytes: sliceBytes) }
}
