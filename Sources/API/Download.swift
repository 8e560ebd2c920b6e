internal import Domain
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import NIOPosix

/// A file that is handed out. It is open, and may have lost its name since: what nobody takes goes with this.
package final class OpenedFile: Sendable {
    /// Under which it is to be kept: plain ASCII without quotes.
    let name: String
    let bytes: Int
    private let descriptor: Int32

    /// - Throws: `POSIXError` where it cannot be opened.
    package init(_ path: String, as name: String) throws {
        descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        self.name = name
        guard descriptor >= 0 else {
            bytes = 0
            throw Self.error
        }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else {
            bytes = 0
            throw Self.error
        }
        bytes = Int(status.st_size)
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Reads some of it; it blocks.
    fileprivate func read(from start: Int, _ count: Int) throws -> ByteBuffer {
        let bytes = try unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, length in
            let found = unsafe pread(descriptor, buffer.baseAddress, count, off_t(start))
            guard found > 0 else { throw found == 0 ? POSIXError(.EIO) : Self.error }
            length = found
        }
        return ByteBuffer(bytes: bytes)
    }

    private static var error: POSIXError { POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
}

/// Enough of what was asked for is made just now.
package struct TooManyExports: Error {
    package init() {}
}

extension API {
    /// Sends what is stored of a person.
    func export(_ name: String, to call: Call) async throws -> Response {
        do {
            guard let file = try await steering.export(CanonicalName(name)) else { throw APIError.notFound }
            return try download(file, type: "application/x-tar", to: call)
        } catch is TooManyExports { throw APIError.unavailable }
    }

    /// What is in memory of a file at a time: the budget of the listener for operators is a small one.
    private static let pieceBytes = 128 << 10

    /// Sends a file, as the client takes it.
    ///
    /// - Throws: ``APIError/unavailable`` when too many bytes are in flight.
    func download(_ file: OpenedFile, type: String, to call: Call) throws(APIError) -> Response {
        let share = MemoryShare(of: memory)
        try share.grow(by: 2 * Self.pieceBytes)
        let channel = call.channel
        return Response(
            status: .ok,
            headers: [
                .contentType: type, .contentDisposition: "attachment; filename=\"\(file.name)\"", .cacheControl: "no-store",
                .xContentTypeOptions: "nosniff",
            ],
            body: ResponseBody(contentLength: file.bytes) { writer in
                defer { share.giveBack() }
                var start = 0
                while start < file.bytes {
                    let (place, count) = (start, min(Self.pieceBytes, file.bytes - start))
                    let piece = try await NIOThreadPool.singleton.runIfActive { try file.read(from: place, count) }
                    start += piece.readableBytes
                    try await writer.write(piece)
                    try await TakenBytes.wait(on: channel)
                }
                try await writer.finish(nil)
            })
    }
}
