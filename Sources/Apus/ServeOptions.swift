internal import ArgumentParser

/// The options of `apus serve`; ``Settings`` tells of them.
struct ServeOptions: ParsableArguments {
    @Option(help: Settings.roles.help) var roles: String?
    @Option(help: Settings.redisURL.help) var redisURL: String?
    @Option(help: Settings.chunks.help) var chunks: String?
    @Option(help: Settings.chunksAlso.help) var chunksAlso: String?
    @Option(help: Settings.listen.help) var listen: String?
    @Option(help: Settings.opsListen.help) var opsListen: String?
    @Option(help: Settings.signup.help) var signup: String?
    @Flag(help: Settings.debug.help) var debug = false
    @Option(help: Settings.publicURL.help) var publicURL: String?
    @Option(help: Settings.allowedHosts.help) var allowedHosts: String?
    @Option(help: Settings.dashboardURL.help) var dashboardURL: String?
    @Option(help: Settings.accountPage.help) var accountPage: String?
    @Option(help: Settings.tokenLifetime.help) var tokenLifetime: String?
    @Option(help: Settings.passwordChange.help) var passwordChange: String?
    @Option(help: Settings.challengeLifetime.help) var challengeLifetime: String?
    @Option(help: Settings.bodyLimit.help) var bodyLimit: String?
    @Option(help: Settings.chunkLimit.help) var chunkLimit: String?
    @Option(help: Settings.batchLimit.help) var batchLimit: Int?
    @Option(help: Settings.connections.help) var connections: Int?
    @Option(help: Settings.memory.help) var memory: String?
    @Option(help: Settings.socketsPerUser.help) var socketsPerUser: Int?
    @Option(help: Settings.socketRate.help) var socketRate: Int?
    @Option(help: Settings.pingInterval.help) var pingInterval: String?
    @Option(help: Settings.drain.help) var drain: String?
    @Option(help: Settings.lameDuck.help) var lameDuck: String?
    @Option(help: Settings.sealInterval.help) var sealInterval: String?
    @Flag(help: Settings.recordAddresses.help) var recordAddresses = false
    @Flag(help: Settings.trustProxy.help) var trustProxy = false
    @Option(help: Settings.sendfile.help) var sendfile: String?
    @Option(name: .customLong("sendfile-s3"), help: Settings.sendsObjects.help) var sendsObjects: String?
    @Option(help: Settings.loginLimit.help) var loginLimit: String?
    @Option(help: Settings.loginLimitName.help) var loginLimitName: String?
    @Option(help: Settings.loginLimitAddress.help) var loginLimitAddress: String?
    @Option(help: Settings.signupLimit.help) var signupLimit: String?
    @Option(help: Settings.invitationLimit.help) var invitationLimit: String?
    @Option(help: Settings.quota.help) var quota: String?
    @Option(help: Settings.logFormat.help) var logFormat: LogFormat?
    @Option(help: Settings.logLevel.help) var logLevel: String?
    @Flag(help: Settings.logClients.help) var logClients = false

    /// What was said, by the names of variables.
    var flags: Environment.Variables {
        let said: [String: String?] = [  // names of ours
            Settings.roles.name: roles,
            Settings.redisURL.name: redisURL,
            Settings.chunks.name: chunks,
            Settings.chunksAlso.name: chunksAlso,
            Settings.listen.name: listen,
            Settings.opsListen.name: opsListen,
            Settings.signup.name: signup,
            Settings.debug.name: debug ? "on" : nil,
            Settings.publicURL.name: publicURL,
            Settings.allowedHosts.name: allowedHosts,
            Settings.dashboardURL.name: dashboardURL,
            Settings.accountPage.name: accountPage,
            Settings.tokenLifetime.name: tokenLifetime,
            Settings.passwordChange.name: passwordChange,
            Settings.challengeLifetime.name: challengeLifetime,
            Settings.bodyLimit.name: bodyLimit,
            Settings.chunkLimit.name: chunkLimit,
            Settings.batchLimit.name: batchLimit.map(String.init),
            Settings.connections.name: connections.map(String.init),
            Settings.memory.name: memory,
            Settings.socketsPerUser.name: socketsPerUser.map(String.init),
            Settings.socketRate.name: socketRate.map(String.init),
            Settings.pingInterval.name: pingInterval,
            Settings.drain.name: drain,
            Settings.lameDuck.name: lameDuck,
            Settings.sealInterval.name: sealInterval,
            Settings.recordAddresses.name: recordAddresses ? "on" : nil,
            Settings.trustProxy.name: trustProxy ? "on" : nil,
            Settings.sendfile.name: sendfile, Settings.sendsObjects.name: sendsObjects,
            Settings.loginLimit.name: loginLimit,
            Settings.loginLimitName.name: loginLimitName,
            Settings.loginLimitAddress.name: loginLimitAddress,
            Settings.signupLimit.name: signupLimit,
            Settings.invitationLimit.name: invitationLimit,
            Settings.quota.name: quota,
            Settings.logFormat.name: logFormat?.rawValue,
            Settings.logLevel.name: logLevel,
            Settings.logClients.name: logClients ? "on" : nil,
        ]
        return said.compactMapValues { $0 }
    }
}

/// The form of the log.
enum LogFormat: String, CaseIterable, ExpressibleByArgument, Sendable {
    case text
    case json
}

/// What a change of password does to the user's other sessions.
enum PasswordChange: String, CaseIterable, Sendable {
    case endsSessions = "ends-sessions"
    case keepsSessions = "keeps-sessions"
}
