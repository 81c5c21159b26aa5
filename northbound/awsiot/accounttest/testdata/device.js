// A device of AWS's own SDK: it gets its identity by a claim, does a job and reports
// to its shadow. It prints what it saw as JSON.
const { iot, mqtt5, iotidentity, iotjobs, iotshadow } = require("aws-iot-device-sdk-v2");
const fs = require("fs");

const [host, port, ca, claimCert, claimKey, csrFile, keyFile, certFile] = process.argv.slice(2);

async function connect(cert, key, id) {
    const builder = iot.AwsIotMqtt5ClientConfigBuilder.newDirectMqttBuilderWithMtlsFromPath(host, cert, key);
    builder.withCertificateAuthorityFromPath(undefined, ca);
    builder.withPort(Number(port));
    builder.withConnectProperties({ clientId: id, keepAliveIntervalSeconds: 60 });
    const client = new mqtt5.Mqtt5Client(builder.build());
    const up = new Promise((resolve, reject) => {
        client.on("connectionSuccess", resolve);
        client.on("connectionFailure", e => reject(e.error));
    });
    client.start();
    await up;
    return client;
}

async function stop(client) {
    const down = new Promise(resolve => client.on("stopped", resolve));
    client.stop();
    await down;
    client.close();
}

const options = { maxRequestResponseSubscriptions: 6, maxStreamingSubscriptions: 2, operationTimeoutInSeconds: 30 };

async function main() {
    const saw = {};
    const first = await connect(claimCert, claimKey, "claim-1");
    const identity = iotidentity.IotIdentityClientv2.newFromMqtt5(first, options);
    try {
        await identity.registerThing({ templateName: "fleet", certificateOwnershipToken: "x", parameters: {} });
    } catch (e) {
        saw.refused = e.modeledError.errorCode;
    }
    const made = await identity.createCertificateFromCsr(
        { certificateSigningRequest: fs.readFileSync(csrFile, "utf8") });
    fs.writeFileSync(certFile, made.certificatePem);
    const registered = await identity.registerThing({
        templateName: "fleet", certificateOwnershipToken: made.certificateOwnershipToken,
        parameters: { Name: "press-1" } });
    saw.thing = registered.thingName;
    saw.configuration = registered.deviceConfiguration;
    identity.close();
    await stop(first);

    const own = await connect(certFile, keyFile, registered.thingName);
    const jobs = iotjobs.IotJobsClientv2.newFromMqtt5(own, options);
    const pending = await jobs.getPendingJobExecutions({ thingName: "press-1" });
    saw.pending = pending.queuedJobs.map(j => j.jobId);
    const next = await jobs.startNextPendingJobExecution({ thingName: "press-1", stepTimeoutInMinutes: 5 });
    saw.document = next.execution.jobDocument;
    try {
        await jobs.updateJobExecution({ thingName: "press-1", jobId: "j", status: "SUCCEEDED", expectedVersion: 99 });
    } catch (e) {
        saw.mismatch = [e.modeledError.code, e.modeledError.executionState.status];
    }
    await jobs.updateJobExecution({
        thingName: "press-1", jobId: "j", status: "SUCCEEDED", statusDetails: { step: "done" },
        expectedVersion: next.execution.versionNumber });
    jobs.close();

    const shadows = iotshadow.IotShadowClientv2.newFromMqtt5(own, options);
    const updated = await shadows.updateNamedShadow({
        thingName: "press-1", shadowName: "gateway", state: { reported: { version: "1.2.3" } } });
    saw.version = updated.version;
    const got = await shadows.getNamedShadow({ thingName: "press-1", shadowName: "gateway" });
    saw.reported = got.state.reported;
    shadows.close();
    await stop(own);
    console.log(JSON.stringify(saw));
}

main().then(() => process.exit(0), e => { console.error(e, e.modeledError); process.exit(1); });
