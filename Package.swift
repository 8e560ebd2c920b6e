// swift-tools-version: 6.2
import PackageDescription

/// What every target of ours is compiled with: Swift 6 mode, no warning tolerated.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

/// What hardly ever runs: a release of it is small rather than fast.
let small: [SwiftSetting] = strict + [.unsafeFlags(["-Osize"], .when(configuration: .release))]

extension Target.Dependency {
    static let asyncHTTPClient: Self = .product(name: "AsyncHTTPClient", package: "async-http-client")
    static let argumentParser: Self = .product(name: "ArgumentParser", package: "swift-argument-parser")
    static let coreMetrics: Self = .product(name: "CoreMetrics", package: "swift-metrics")
    static let grdb: Self = .product(name: "GRDB", package: "GRDB.swift")
    static let sqlite: Self = .product(name: "GRDBSQLite", package: "GRDB.swift")
    static let httpTypes: Self = .product(name: "HTTPTypes", package: "swift-http-types")
    static let hummingbird: Self = .product(name: "Hummingbird", package: "hummingbird")
    static let hummingbirdCore: Self = .product(name: "HummingbirdCore", package: "hummingbird")
    static let logging: Self = .product(name: "Logging", package: "swift-log")
    static let nioCore: Self = .product(name: "NIOCore", package: "swift-nio")
    static let nioEmbedded: Self = .product(name: "NIOEmbedded", package: "swift-nio")
    static let nioHTTP1: Self = .product(name: "NIOHTTP1", package: "swift-nio")
    static let nioPosix: Self = .product(name: "NIOPosix", package: "swift-nio")
    static let nioSSL: Self = .product(name: "NIOSSL", package: "swift-nio-ssl")
    static let nioWebSocket: Self = .product(name: "NIOWebSocket", package: "swift-nio")
    static let serviceLifecycle: Self = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
    static let unixSignals: Self = .product(name: "UnixSignals", package: "swift-service-lifecycle")
}

/// Whatever takes bytes from outside.
let fuzzed: [Target.Dependency] = [
    "Sodium", "MessagePack", "Domain", "Database", "Schemas", "EventLog", "S3", "Contents", "Projections", "Backup", "ReadModel",
    "Redis", "Bulletin", "Gateway", "API", "Server", "Doctor", "Apus", .argumentParser, .httpTypes, .logging, .nioCore, .nioEmbedded,
    .nioHTTP1, .nioWebSocket,
]

// Targets stand in the order of their dependencies: each may use those above it, none below (ops/check).
let package = Package(
    name: "apus",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "apus", targets: ["Apus"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    ],
    targets: [
        .systemLibrary(name: "CSodium", path: "Sources/System/CSodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "CPostgres", path: "Sources/System/CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CHiredis", path: "Sources/System/CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .target(name: "CICU", path: "Sources/System/CICU"),
        .target(name: "CSQLite", path: "Sources/System/CSQLite"),
        .target(name: "CFileSystem", path: "Sources/System/CFileSystem"),
        .target(name: "CLDAP", path: "Sources/System/CLDAP"),
        .target(name: "CMemory", path: "Sources/System/CMemory"),
        .target(
            name: "CBuild", path: "Sources/System/CBuild",
            cSettings: [.define("BUILT_FROM", to: "\"\(Context.environment["BUILD_COMMIT"] ?? "")\"")]),
        .target(name: "Clocks", swiftSettings: strict),
        .target(name: "Telemetry", dependencies: [.coreMetrics], swiftSettings: strict),
        .target(name: "Sodium", dependencies: ["CSodium"], swiftSettings: strict),
        .target(name: "MessagePack", dependencies: [.nioCore], swiftSettings: strict),
        .target(name: "Domain", swiftSettings: strict),
        .target(
            name: "Database", dependencies: ["Telemetry", "CPostgres", "CSQLite", "Sodium", .grdb, .sqlite, .logging], swiftSettings: strict
        ),
        .target(
            name: "Schemas", dependencies: ["Database"], path: "Schemas",
            resources: [.embedInCode("django"), .embedInCode("log"), .embedInCode("readmodel"), .embedInCode("upgrades")],
            swiftSettings: strict),
        .target(
            name: "EventLog", dependencies: ["Telemetry", "Sodium", "MessagePack", "Domain", "Database", .nioCore, .serviceLifecycle],
            swiftSettings: strict),
        .target(
            name: "S3", dependencies: ["Telemetry", "Sodium", .asyncHTTPClient, .nioCore, .nioHTTP1, .nioPosix, .nioSSL],
            swiftSettings: strict),
        .target(name: "Contents", dependencies: ["Sodium", "Domain", "Database", "EventLog", "S3", .nioPosix], swiftSettings: strict),
        .target(
            name: "Projections",
            dependencies: ["Clocks", "Telemetry", "Sodium", "Domain", "Database", "EventLog", "Contents", .logging, .serviceLifecycle],
            path: "Projections", swiftSettings: strict),
        .target(
            name: "Replay", dependencies: ["Domain", "Database", "EventLog", "Contents", "Projections"], swiftSettings: strict),
        .target(
            name: "Moving", dependencies: ["Sodium", "Domain", "Database", "EventLog", "Contents", "Projections", "Replay"],
            swiftSettings: small),
        .target(
            name: "Backup",
            dependencies: ["Sodium", "Domain", "Database", "Schemas", "EventLog", "Contents", "Projections", "Replay"],
            swiftSettings: small),
        .target(
            name: "ReadModel", dependencies: ["Clocks", "Telemetry", "Sodium", "Domain", "Database", "EventLog", "Contents"],
            swiftSettings: strict),
        .target(
            name: "Redis", dependencies: ["Telemetry", "CHiredis", "Sodium", .logging, .nioCore, .nioPosix, .nioSSL, .serviceLifecycle],
            swiftSettings: strict),
        .target(
            name: "Directory", dependencies: ["Telemetry", "CLDAP", "Sodium", "Domain", "Database", .logging, .serviceLifecycle],
            swiftSettings: strict),
        .target(
            name: "Bulletin", dependencies: ["Sodium", "Domain", "EventLog", "Redis", .serviceLifecycle], swiftSettings: strict),
        .target(
            name: "Gateway",
            dependencies: [
                "Clocks", "Telemetry", "Sodium", "Domain", "EventLog", "ReadModel", "Redis", "Directory", "Bulletin", .logging, .nioCore,
                .nioHTTP1, .nioWebSocket, .serviceLifecycle,
            ], swiftSettings: strict),
        .target(name: "Pages", dependencies: ["Sodium"], swiftSettings: strict),
        .target(
            name: "API",
            dependencies: [
                "Telemetry", "Sodium", "MessagePack", "Domain", "Database", "EventLog", "Contents", "ReadModel", "Directory", "Bulletin",
                "Gateway", "Pages", .hummingbird, .hummingbirdCore, .httpTypes, .logging, .nioCore, .nioHTTP1, .nioPosix, .serviceLifecycle,
            ], swiftSettings: strict),
        .target(
            name: "Server",
            dependencies: [
                "CMemory", "Telemetry", "Sodium", "Domain", "Database", "Schemas", "EventLog", "S3", "Contents", "Projections", "Replay",
                "Backup", "ReadModel",
                "Redis", "Directory", "Bulletin", "Gateway", "Pages", "API", .coreMetrics, .hummingbird, .logging, .nioCore, .nioPosix,
                .serviceLifecycle, .unixSignals,
            ], swiftSettings: strict),
        .target(
            name: "Doctor",
            dependencies: [
                "CFileSystem", "Sodium", "MessagePack", "Domain", "Database", "Schemas", "EventLog", "S3", "Contents", "Replay",
                "ReadModel", "Redis", "Directory", "API", "Server", .nioCore, .nioPosix, .nioSSL,
            ], swiftSettings: small),
        .executableTarget(
            name: "Apus",
            dependencies: [
                "Sodium", "Domain", "Database", "Schemas", "EventLog", "S3", "Contents", "Projections", "Replay", "Moving", "Backup",
                "ReadModel", "Redis", "Directory", "Gateway", "Pages", "API", "Server", "Doctor", "CBuild", "CICU", .argumentParser,
                .logging,
                .nioCore, .nioPosix,
            ], swiftSettings: small),
        .target(name: "TestSupport", dependencies: ["Domain"], path: "Tests/TestSupport", swiftSettings: strict),
        .testTarget(name: "TelemetryTests", dependencies: ["Telemetry", .coreMetrics], swiftSettings: strict),
        .testTarget(name: "MessagePackTests", dependencies: ["MessagePack", "TestSupport", .nioCore], swiftSettings: strict),
        .testTarget(
            name: "APITests",
            dependencies: [
                "MessagePack", "Domain", "API", "Gateway", "TestSupport", .httpTypes, .hummingbird, .hummingbirdCore, .logging, .nioCore,
                .nioEmbedded, .nioHTTP1, .nioPosix, .serviceLifecycle,
            ], swiftSettings: strict),
        .testTarget(name: "DomainTests", dependencies: ["Domain", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "EventLogTests", dependencies: ["Sodium", "Domain", "EventLog", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "S3Tests", dependencies: ["Sodium", "S3"], swiftSettings: strict),
        .testTarget(name: "RedisTests", dependencies: ["Redis", .logging, .nioCore, .nioPosix], swiftSettings: strict),
        .testTarget(
            name: "DirectoryTests", dependencies: ["Domain", "Database", "Schemas", "Directory", .logging], swiftSettings: strict),
        .testTarget(name: "BulletinTests", dependencies: ["Domain", "Redis", "Bulletin", .logging], swiftSettings: strict),
        .testTarget(
            name: "GatewayTests", dependencies: ["Domain", "Gateway", "TestSupport", .nioCore, .nioEmbedded, .nioWebSocket],
            swiftSettings: strict),
        .testTarget(
            name: "ServerTests",
            dependencies: [
                "Sodium", "MessagePack", "Domain", "Telemetry", "Database", "EventLog", "ReadModel", "Redis", "Pages", "API", "Server",
                .hummingbird, .httpTypes, .logging,
                .nioCore, .nioEmbedded, .nioHTTP1, .serviceLifecycle,
            ], swiftSettings: strict),
        .testTarget(name: "DoctorTests", dependencies: ["Doctor", "Redis"], swiftSettings: strict),
        .testTarget(
            name: "StorageTests",
            dependencies: [
                "CSQLite", "Sodium", "Domain", "Telemetry", "Database", "Schemas", "EventLog", "S3", "Contents", "Projections", "Replay",
                "Moving", "ReadModel",
                "TestSupport",
                .logging, .nioCore, .nioPosix,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "SimulationTests",
            dependencies: [
                "Clocks", "Sodium", "Domain", "Database", "EventLog", "Contents", "Projections", "ReadModel", "Redis", "Bulletin",
                "Gateway", "TestSupport", .logging, .nioCore, .nioWebSocket,
            ],
            // Thousands of installations are simulated: what simulates them is compiled for speed.
            swiftSettings: strict + [.unsafeFlags(["-O"])]),
        .testTarget(
            name: "FuzzingTests", dependencies: fuzzed, path: "Tests/Fuzzing", exclude: ["Program", "CFuzzer", "Corpora"],
            swiftSettings: strict),
    ]
)

// What is fuzzed as a program with libFuzzer in it, for ops/fuzz alone. A program may not stand on another, so Apus is a module there.
// What is not ours is as it always is: libFuzzer is to look for ways through what we wrote.
if Context.environment["APUS_FUZZ"] == "1" {
    let address = "-sanitize=address"
    package.products = []
    package.targets = package.targets.filter { !$0.isTest }.map { target in
        guard target.name == "Apus" else { return target }
        return .target(name: target.name, dependencies: target.dependencies, swiftSettings: strict + [.define("APUS_FUZZ")])
    }
    package.targets += [
        .systemLibrary(name: "CFuzzer", path: "Tests/Fuzzing/CFuzzer"),
        .executableTarget(
            name: "Fuzz", dependencies: fuzzed + ["CFuzzer"], path: "Tests/Fuzzing",
            exclude: ["FuzzingTests.swift", "CFuzzer", "Corpora"], swiftSettings: strict,
            linkerSettings: [.linkedLibrary("stdc++"), .unsafeFlags([address])]),
    ]
    for target in package.targets where target.swiftSettings?.isEmpty == false {
        target.swiftSettings?.append(
            .unsafeFlags([address, "-sanitize-coverage=edge,indirect-calls,trace-cmp,inline-8bit-counters,pc-table"]))
    }
}

// The Swift tests under a sanitizer, for ops/sanitize alone.
switch Context.environment["APUS_SANITIZE"] {
case "address":  // all that we wrote, its C included
    package.targets.append(
        .testTarget(name: "SanitizerTests", path: "Tests/Sanitizers/SanitizerTests", swiftSettings: strict))
    for target in package.targets where target.type != .system {
        if target.swiftSettings?.isEmpty == false {
            target.swiftSettings?.append(.unsafeFlags(["-sanitize=address"]))
        } else {
            target.cSettings = (target.cSettings ?? []) + [.unsafeFlags(["-fsanitize=address", "-fno-omit-frame-pointer"])]
        }
        target.linkerSettings = (target.linkerSettings ?? []) + [.unsafeFlags(["-sanitize=address"])]
    }
case "thread":  // everything, by an option of SwiftPM: it must see who hands over what to whom in packages of others too
    package.targets += [
        .target(name: "CThreads", path: "Tests/Sanitizers/CThreads"),
        .testTarget(name: "ThreadTests", dependencies: ["CThreads"], path: "Tests/Sanitizers/ThreadTests", swiftSettings: strict),
    ]
default: break
}
