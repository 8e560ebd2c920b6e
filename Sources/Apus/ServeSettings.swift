internal import API
internal import ArgumentParser
internal import Database
internal import Gateway
internal import Logging
internal import Redis
internal import Server
internal import Sodium

extension Environment {
    /// Whether other processes may share the log's database.
    var mayBeShared: Bool {
        get throws {
            if case .postgres = try value(Settings.databaseURL) { return true }
            return try optional(Settings.redisURL) != nil
        }
    }

    /// Whether there may be something that decides which server clients reach.
    var mayHaveBalancer: Bool { get throws { try mayBeShared || value(Settings.trustProxy) } }

    /// What a server does.
    ///
    /// - Throws: `ValidationError`
    func serverSettings() throws -> ServerSettings {
        var settings = ServerSettings()
        settings.version = Apus.version
        settings.api = try apiSettings()
        settings.address = try value(Settings.listen)
        settings.isAddressGiven = isGiven(Settings.listen)
        settings.tokenLifetime = try value(Settings.tokenLifetime)
        settings.directory = try directorySettings()
        settings.roles = try value(Settings.roles)
        settings.opsAddress = try optional(Settings.opsListen) ?? nil
        settings.sealInterval = try value(Settings.sealInterval)
        settings.gateway = try gatewaySettings()
        settings.connections = try optional(Settings.connections)
        settings.isProxied = try value(Settings.trustProxy)
        settings.memoryBytes = try value(Settings.memory)
        settings.lameDuck = try value(Settings.lameDuck)
        settings.shown = AdminSettings.all(self)
        settings.diagnose = { await AdminSettings.diagnose(self) }
        return settings
    }

    private func apiSettings() throws -> APISettings {
        var settings = APISettings()
        settings.signup = try value(Settings.signup)
        settings.isFrontEnd = try value(Settings.roles).contains(.api)
        settings.metricsToken = try optional(Settings.metricsToken)
        settings.isDebug = try value(Settings.debug)
        settings.showsAdmin = try optional(Settings.opsListen).flatMap(\.self) == nil
        settings.endsSessions = try value(Settings.passwordChange) == .endsSessions
        settings.allowedHosts = try optional(Settings.allowedHosts) ?? nil
        settings.publicAddress = try optional(Settings.publicURL)
        let isProxyTrusted = try value(Settings.trustProxy)
        settings.addresses = try value(Settings.recordAddresses) ? (isProxyTrusted ? .fromProxy : .ofConnections) : .none
        settings.limits = try limitSettings()
        settings.isProxied = isProxyTrusted
        settings.sendfile = try sendfile()
        settings.sendsObjects = isProxyTrusted ? try optional(Settings.sendsObjects) : nil
        settings.logsClients = try value(Settings.logClients)
        settings.dashboardURL = try optional(Settings.dashboardURL)
        settings.hasAccountPage = try value(Settings.accountPage)
        settings.challengeSeconds = try value(Settings.challengeLifetime).components.seconds
        settings.bodyLimitBytes = try value(Settings.bodyLimit)
        settings.chunkLimitBytes = try value(Settings.chunkLimit)
        settings.batchLimit = try value(Settings.batchLimit)
        return settings
    }

    /// Without a proxy clients would get no contents.
    private func sendfile() throws -> Sendfile? { try value(Settings.trustProxy) ? optional(Settings.sendfile) : nil }

    private func gatewaySettings() throws -> GatewaySettings {
        var settings = GatewaySettings()
        settings.socketsPerUser = try value(Settings.socketsPerUser)
        settings.openingsPerSecond = try value(Settings.socketRate)
        settings.pingInterval = try value(Settings.pingInterval)
        settings.drain = try value(Settings.drain)
        return settings
    }

    /// The client of Redis; nil where there is none.
    ///
    /// - Throws: `ValidationError`
    func redis(logger: Logger) throws -> Redis? {
        guard let url = try optional(Settings.redisURL) else { return nil }
        do throws(RedisURL.Mistake) { return try Redis(url, logger: logger) } catch { throw ValidationError(error.description) }
    }

    /// Where everything lies.
    ///
    /// - Throws: `ValidationError`
    func dataSettings() throws -> DataSettings {
        DataSettings(
            folder: try value(Settings.data), database: try value(Settings.databaseURL),
            readDatabaseURL: try optional(Settings.readDatabaseURL), chunkFolder: try value(Settings.mediaRoot),
            secret: try optional(Settings.secret), chunkReaders: try sendfile() == nil ? .owner : .group,
            objects: try objectSettings(), quota: try value(Settings.quota))
    }
}
