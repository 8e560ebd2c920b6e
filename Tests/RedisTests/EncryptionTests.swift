import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import Redis

@Suite("Over TLS", .enabled(if: Shared.isThere, "APUS_TEST_REDIS_URL names no Redis"), .timeLimit(.minutes(1))) struct EncryptionTests {
    /// Runs `body` with the port of a Redis that speaks TLS only, and the path of its certificate.
    private func encrypted(names: String, _ body: (_ port: Int, _ certificate: String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-tls-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (key, certificate) = (folder.appending(path: "key.pem").path(), folder.appending(path: "certificate.pem").path())
        let openssl = Process()
        openssl.executableURL = URL(filePath: "/usr/bin/openssl")
        openssl.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
            "/CN=redis", "-addext", "subjectAltName=\(names)", "-keyout", key, "-out", certificate,
        ]
        openssl.standardError = FileHandle.nullDevice
        try openssl.run()
        openssl.waitUntilExit()
        let port = try await freePort()
        try await OwnRedis.with(
            "--tls-port", "\(port)", "--bind", "127.0.0.1", "--tls-cert-file", certificate, "--tls-key-file", key,
            "--tls-auth-clients", "no"
        ) { server in
            try await connected(RedisURL("unix://\(server.socket)")) { _ in }
            try await body(port, certificate)
        }
    }

    private func freePort() async throws -> Int {
        let probe = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: "127.0.0.1", port: 0).get()
        defer { probe.close(promise: nil) }
        return try #require(probe.localAddress?.port)
    }

    private func ping(_ url: String) async throws -> RedisValue {
        let connection = try await Dialer(RedisURL(url), timeLimit: patience).open()
        defer { connection.close("over") }
        return try await connection.ask(["PING"])
    }

    @Test("a certificate for the host's name or address, of an authority that is named, is good") func good() async throws {
        try await encrypted(names: "DNS:localhost,IP:127.0.0.1") { port, certificate async throws in
            for host in ["localhost", "127.0.0.1"] {
                #expect(try await ping("rediss://\(host):\(port)?sslrootcert=\(certificate)") == .status("PONG"))
            }
        }
    }

    @Test("a certificate that nobody vouches for, or of another server, is not") func bad() async throws {
        try await encrypted(names: "DNS:elsewhere.example,IP:127.0.0.2") { port, certificate in
            for address in [
                "localhost:\(port)", "localhost:\(port)?sslrootcert=\(certificate)", "127.0.0.1:\(port)?sslrootcert=\(certificate)",
            ] {
                await #expect(throws: RedisFault.self) { try await ping("rediss://\(address)") }
            }
        }
    }

    @Test("a file of authorities that is not there is a mistake in the address") func noFile() {
        #expect(throws: RedisURL.Mistake.self) {
            try Redis(RedisURL("rediss://localhost?sslrootcert=/nowhere"), logger: CollectedLog().logger)
        }
    }
}
